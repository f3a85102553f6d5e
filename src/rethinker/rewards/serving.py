"""What every worker process does besides its work: keep its pipes apart, bound its memory, die with its parent."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from rethinker.rewards.wire import Message, pack

_PR_SET_PDEATHSIG = 1


def claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the protocol's pipes to ourselves: what verifiers print goes to stderr, what they read is empty."""
    inbox = os.fdopen(os.dup(0), "rb")
    # The kernel closes it, at the very end: so the pool sees an end of stream only when the exit status stands.
    outbox = os.fdopen(os.dup(1), "wb", closefd=False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return inbox, outbox


def send(outbox: BinaryIO, message: Message) -> None:
    """Tell the pool something."""
    outbox.write(pack(message))
    outbox.flush()


def limit_memory(added: int) -> None:
    """Let the address space grow by `added` bytes from now on. Only Linux keeps such a limit."""
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as statm:
            held = int(statm.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        soft = held + added if hard == resource.RLIM_INFINITY else min(held + added, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies: a hanging verifier does not notice a closed pipe."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)


@contextmanager
def cpu_seconds(most: float) -> Iterator[None]:
    """Have the kernel kill this process when what is inside takes more CPU time, in whatever library it is stuck.

    CPU time, because a verdict must not depend on what else the machine is doing.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, most)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
