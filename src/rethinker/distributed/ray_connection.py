"""Joining a Ray, or starting one here, without Ray's own words on the console unless they explain a failure."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil

import ray
from ray.exceptions import RayError

from rethinker.errors import ClusterError

_ANSWER_SECONDS = 10.0
"""How long a machine may take to say that it listens."""


def connect(address: str, *, cpus: float) -> None:
    """Join the Ray at an address, or start one on this machine.

    Args:
        address: Of a running Ray; empty starts one.
        cpus: What a Ray that is started here says it has.

    Raises:
        ClusterError: nobody is at that address, or it does not let us in.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # else actors yield to everything, and they are the run
    _refuse_silence(address)
    with _stderr_aside() as words:
        try:
            if address:
                ray.init(address, log_to_driver=False, configure_logging=False)
            else:  # "local", or Ray joins whichever was started last on this machine
                ray.init(
                    "local",
                    num_cpus=ceil(cpus),
                    include_dashboard=False,
                    log_to_driver=False,
                    configure_logging=False,
                )
        except (RayError, OSError, RuntimeError, ValueError) as error:
            raise ClusterError(_refusal(address, error, words())) from error


def _refuse_silence(address: str) -> None:
    """Knock first: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        raise ClusterError(_refusal(address, error, "")) from error


def _refusal(address: str, error: Exception, words: str) -> str:
    if "InvalidAuthToken" in words:
        return (
            f"the Ray at cluster.address={address!r} does not take our token: set RAY_AUTH_MODE=token and the same "
            "RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) here and wherever `ray start` is run"
        )
    if not address:
        return f"Ray cannot be started on this machine: {error}"
    return (
        f"no Ray answers at cluster.address={address!r}: {error}; start one there (ray start --head) or leave the "
        "address empty to use this machine alone"
    )


@contextmanager
def _stderr_aside() -> Iterator[Callable[[], str]]:
    """Keep what this process writes to stderr, its native libraries included, and give it as a text."""
    sys.stderr.flush()
    console = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)

        def text() -> str:
            kept.seek(0)
            return kept.read().decode(errors="replace")

        try:
            yield text
        finally:
            sys.stderr.flush()
            os.dup2(console, 2)
            os.close(console)
