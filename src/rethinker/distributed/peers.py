"""A peer: something in another process whose methods the driver calls by name. How calls travel is the peer's business.

Calls to one peer are done one after another, in the order in which they were made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from rethinker.errors import RankLostError


class Peer(ABC):
    """One object of another process.

    Attributes:
        name: For people, in errors ("learner rank 2").
    """

    name: str

    @abstractmethod
    def call(self, method: str, *args: object) -> Future[Any]:
        """Call a method; the future holds what it returned or raised, or `RankLostError` where its process is gone."""

    @abstractmethod
    def close(self) -> None:
        """End the process, politely where it still listens. Closing twice is fine."""


class LocalPeer(Peer):
    """An object of this process, whose methods run on one thread of their own.

    Args:
        thread: Shared by objects that must take turns; one of its own where none is given.
    """

    def __init__(self, name: str, served: object, *, thread: ThreadPoolExecutor | None = None) -> None:
        self.name = name
        self._served = served
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix=name)

    def call(self, method: str, *args: object) -> Future[Any]:
        """Queue a call."""
        return self._thread.submit(getattr(self._served, method), *args)

    def close(self) -> None:
        """Let queued calls end."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def call_all(peers: Sequence[Peer], method: str, *args: object, patience: float | None = None) -> list[Any]:
    """Call the same on every peer; what each returned, in their order (see `gather`)."""
    return gather(peers, [peer.call(method, *args) for peer in peers], patience=patience)


def gather(
    peers: Sequence[Peer],
    futures: Sequence[Future[Any]],
    *,
    patience: float | None = None,
    limit: str = "cluster.patience_seconds",
) -> list[Any]:
    """What each peer returned.

    Args:
        limit: The key that sets `patience`.

    Raises:
        RankLostError: one is gone, or did not answer within `patience` seconds: then the others wait for it in vain, so
            whoever answered with an error of its own is told first.
    """
    done, waiting = wait(futures, timeout=patience, return_when="FIRST_EXCEPTION")
    failed = [future for future in futures if future in done and future.exception() is not None]
    # An error of its own says more than that a peer is gone, which may be its consequence.
    for future in sorted(failed, key=lambda each: isinstance(each.exception(), RankLostError)):
        future.result()
    if waiting:
        silent = ", ".join(peer.name for peer, future in zip(peers, futures, strict=True) if future in waiting)
        raise RankLostError(no_answer(silent, f"{limit}={patience:g}"))
    return [future.result() for future in futures]


def no_answer(who: str, limit: str) -> str:
    """What is said of a peer that is silent beyond a limit, written as key=seconds."""
    return (
        f"{who} did not answer within {limit}; it hangs, or works on something that takes longer: raise the limit if so"
    )
