"""What every worker process does besides its work: fork when asked, bound its memory, die with its parent.

The pool starts one server a worker. It loads what the work needs, once, and then forks a worker whenever the pool asks
for one, in milliseconds; over the socket that is its stdin:

    pool → server   AT_ONCE, or LATE: load what only some items need, too; then fork
    server → pool   the worker's process id, with the pool's end of a socket to the worker
    pool → server   REAP, once the worker has been killed or has ended
    server → pool   its exit status
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from rethinker.rewards.wire import LATE, REAP, STATUS, Message, pack

_PR_SET_PDEATHSIG = 1


def claim_control() -> socket.socket:
    """Keep the pool's socket to ourselves: what verifiers print goes to stderr, what they read is empty."""
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return control


def become_worker(control: socket.socket, late: Callable[[], object] = lambda: None) -> tuple[BinaryIO, BinaryIO]:
    """Serve forks until the pool closes its end; returns in every worker forked, with its pipes.

    Threads do not live through a fork, and what they held stays locked: a process that has any serves by itself.

    Args:
        late: Loads what only some items need, so that workers forked from then on have it.
    """
    gc.freeze()  # what is shared with the workers stays shared
    while request := control.recv(1):
        if request == LATE:
            late()
        ours, theirs = socket.socketpair()
        server = os.getpid()
        pid = os.fork() if _is_alone() else 0
        if pid == 0:
            _detach(server)
            _answer(control, os.getpid(), theirs)
            return _pipes(control, ours)
        ours.close()
        theirs.close()
        if control.recv(1) == REAP:
            control.sendall(STATUS.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    sys.exit()


def work_alone(control: socket.socket) -> tuple[BinaryIO, BinaryIO]:
    """Answer the first request by working in this very process: the pipes to say in why there will be no other."""
    control.recv(1)
    ours, theirs = socket.socketpair()
    _answer(control, os.getpid(), theirs)
    return _pipes(control, ours)


def _answer(control: socket.socket, pid: int, theirs: socket.socket) -> None:
    socket.send_fds(control, [STATUS.pack(pid)], [theirs.fileno()])
    theirs.close()


def _detach(server: int) -> None:
    """Be a process group of our own, which the pool kills whole, and end with the server."""
    if os.getpid() != server:
        os.setsid()
        die_with(server)


def _pipes(control: socket.socket, ours: socket.socket) -> tuple[BinaryIO, BinaryIO]:
    control.close()  # whatever a verifier writes to where it should not cannot reach the server
    descriptor = ours.detach()
    # The kernel closes it, at the very end: so the pool sees an end of stream only when the exit status stands.
    return os.fdopen(descriptor, "rb", closefd=False), os.fdopen(descriptor, "wb", closefd=False)


def _is_alone() -> bool:
    """Whether this thread is the process's only one. Only Linux says so."""
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1


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
