"""The pool's side of one worker process: have it forked, send it a batch, wait no longer than allowed, kill it.

The server that forks it is its own (see `serving`). Owned by one thread: Linux kills a server when the thread that
started it ends, and the worker with it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from rethinker.rewards.wire import AT_ONCE, LATE, OUT_OF_MEMORY, REAP, STATUS, GarbledError, Inbox, Message
from rethinker.types import Outcome

Item = TypeVar("Item")
Reply = TypeVar("Reply")

_LOADING_SECONDS = 120.0
"""Most seconds a worker may take to start or to import math-verify; slow disks are not a response's fault."""

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Generic[Item, Reply]):
    """What the workers of a pool do.

    Attributes:
        module: Run as `python -m module SETTINGS`; speaks the protocol of `wire`.
        settings: Its settings, as JSON values; the pool's process id is added as `parent`.
        pack: A batch → the frame that asks for it.
        decode: A reply's record → the reply. Raises GarbledError.
        timeout_seconds: Most seconds for one item; then the worker is killed.
        memory_limit: What the module lets its address space grow by, in words.
        folder: Where it runs.
        packages: Folder that comes first on its path; None adds none.
    """

    module: str
    settings: Mapping[str, object]
    pack: Callable[[Sequence[Item]], bytes]
    decode: Callable[[Message], Reply]
    timeout_seconds: float
    memory_limit: str
    folder: str
    packages: Path | None = None


class WorkerLostError(Exception):
    """A worker did not do its work and must be killed.

    Attributes:
        outcome: `TIMEOUT` or `ERROR`: the outcome of the item it was at.
    """

    def __init__(self, outcome: Outcome, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome


class PoolClosedError(Exception):
    """The pool was closed while a worker was being waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """A process that has loaded what the work needs and forks workers, with our end of the socket to it."""

    process: subprocess.Popen[bytes]
    control: socket.socket


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worker:
    """A forked worker, which only its server can reap, with our end of the socket to it."""

    pid: int
    pipe: socket.socket


class WorkerProcess(Generic[Item, Reply]):
    """One worker process, forked anew whenever it is gone.

    Args:
        work: What it does.
        closed: A descriptor that becomes readable when the pool closes.
    """

    def __init__(self, work: Work[Item, Reply], closed: int) -> None:
        self._work = work
        self._closed = closed
        self._server: _Server | None = None
        self._worker: _Worker | None = None
        self._request = AT_ONCE
        self._inbox = Inbox()
        self._messages: deque[Message] = deque()

    def ensure_started(self) -> None:
        """Start the process unless it is running, and wait until it is ready.

        Raises:
            WorkerLostError: it did not become ready.
        """
        if self._worker is not None and not _has_ended(self._worker.pipe):
            return
        self.kill()
        self._inbox, self._messages = Inbox(), deque()
        if self._server is not None and not _is_running(self._server.process):
            self._end_server()
        if self._server is None:
            self._server = _start(self._work)
        self._worker = self._fork(self._server)
        message = self._receive(time.monotonic() + _LOADING_SECONDS, _LOADING_SECONDS)
        if message.get("state") != "ready":
            raise WorkerLostError(Outcome.ERROR, str(message.get("why", message)))

    def replies(self, batch: Sequence[Item]) -> Iterator[Reply]:
        """Yield a reply per item, in order, each within the time limit.

        Raises:
            WorkerLostError: the item whose reply is due was not done; those behind it are unharmed.
            PoolClosedError: the pool closed meanwhile.
        """
        self._send(self._work.pack(batch))
        for index in range(len(batch)):
            yield self._reply(index)

    def kill(self) -> int | None:
        """End the process and whatever it started; its exit status, which is its own if it had ended already."""
        if self._worker is None:
            return None
        worker, self._worker = self._worker, None
        assert self._server is not None
        worker.pipe.close()
        if worker.pid == self._server.process.pid or not _is_running(self._server.process):
            return self._end_server()
        _kill_group(worker.pid)
        try:
            self._server.control.sendall(REAP)
            return int(STATUS.unpack(self._server.control.recv(STATUS.size))[0])
        except (OSError, struct.error):  # somebody has ended or stopped the server, too
            return self._end_server()

    def close(self) -> None:
        """End the process and its server."""
        self.kill()
        if self._server is not None:
            self._end_server()

    def _fork(self, server: _Server) -> _Worker:
        try:
            server.control.sendall(self._request)
            self._wait(server.control.fileno(), select.POLLIN, time.monotonic() + _LOADING_SECONDS, _LOADING_SECONDS)
            received, descriptors, _, _ = socket.recv_fds(server.control, STATUS.size, 1)
        except ConnectionError:
            received, descriptors = b"", []
        except WorkerLostError:  # what does not answer now may answer the next request
            self._end_server()
            raise
        if not descriptors:
            raise self._lost(self._end_server())
        pipe = socket.socket(fileno=descriptors[0])
        pipe.setblocking(False)
        return _Worker(pid=STATUS.unpack(received)[0], pipe=pipe)

    def _end_server(self) -> int:
        assert self._server is not None
        server, self._server = self._server, None
        _kill_group(server.process.pid)
        server.control.close()
        return server.process.wait()

    def _reply(self, index: int) -> Reply:
        limit = self._work.timeout_seconds
        while True:
            message = self._receive(time.monotonic() + limit, limit)
            match message:
                case {"state": "loading"}:
                    limit, self._request = _LOADING_SECONDS, LATE
                case {"state": "ready"}:
                    limit = self._work.timeout_seconds
                case {"index": received, "verdict": dict(record)} if received == index:
                    try:
                        return self._work.decode(record)
                    except GarbledError as error:
                        raise _garbled(error) from error
                case _:
                    raise _garbled(GarbledError(f"{str(message)[:80]} in place of verdict {index}"))

    def _send(self, frame: bytes) -> None:
        assert self._worker is not None
        pipe, deadline = self._worker.pipe, time.monotonic() + _LOADING_SECONDS
        unsent = memoryview(frame)
        while unsent:
            self._wait(pipe.fileno(), select.POLLOUT, deadline, _LOADING_SECONDS)
            try:
                unsent = unsent[pipe.send(unsent) :]
            except BlockingIOError:
                continue
            except ConnectionError:
                raise self._ended() from None

    def _receive(self, deadline: float, limit: float) -> Message:
        assert self._worker is not None
        pipe = self._worker.pipe
        while not self._messages:
            self._wait(pipe.fileno(), select.POLLIN, deadline, limit)
            try:
                received = pipe.recv(_CHUNK)
            except ConnectionError:  # it ended with a batch unread
                received = b""
            if not received:
                raise self._ended()
            try:
                self._messages.extend(self._inbox.feed(received))
            except GarbledError as error:
                raise _garbled(error) from error
        return self._messages.popleft()

    def _wait(self, pipe: int, event: int, deadline: float, limit: float) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        poll.register(self._closed, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0, math.ceil(1000 * (deadline - time.monotonic()))))}
        if self._closed in ready:
            raise PoolClosedError
        if not ready:
            raise WorkerLostError(Outcome.TIMEOUT, f"nothing came from the worker within {limit:g} s")

    def _ended(self) -> WorkerLostError:
        """How the process ended, for people."""
        status = self.kill()
        assert status is not None
        return self._lost(status)

    def _lost(self, status: int) -> WorkerLostError:
        if status == -signal.SIGPROF:  # the kernel's, when an item's own limit of CPU time has passed
            return WorkerLostError(Outcome.TIMEOUT, "it needed more CPU time than an item may take")
        if status == OUT_OF_MEMORY:
            return WorkerLostError(Outcome.ERROR, f"the worker needed more than {self._work.memory_limit}")
        if status < 0:
            return WorkerLostError(Outcome.ERROR, f"the worker was killed by {signal.Signals(-status).name}")
        return WorkerLostError(Outcome.ERROR, f"the worker exited with status {status}")


def _garbled(error: GarbledError) -> WorkerLostError:
    return WorkerLostError(Outcome.ERROR, f"the worker sent garbage: {error}")


def _kill_group(pid: int) -> None:
    """Kill a process that is not reaped yet, and whatever it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS forbids signals to a dying group
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _has_ended(pipe: socket.socket) -> bool:
    """Whether a worker that has nothing to say has closed its end."""
    try:
        return not pipe.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has not ended. It is not reaped here, so that its process group can still be killed."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _start(work: Work[Item, Reply]) -> _Server:
    """A fresh interpreter that finds what this one finds, with one thread for arithmetic.

    A session of its own keeps a terminal's Ctrl-C, which asks the trainer to finish its step, from killing it.
    """
    first = [str(work.packages)] if work.packages else []
    path = os.pathsep.join([*first, *(entry for entry in sys.path if entry)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    settings = json.dumps({**work.settings, "parent": os.getpid()})
    control, theirs = socket.socketpair()
    control.settimeout(_LOADING_SECONDS)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", work.module, settings],
            stdin=theirs.fileno(),
            cwd=work.folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        control.close()
        raise WorkerLostError(Outcome.ERROR, f"a worker cannot be started: {error}") from error
    finally:
        theirs.close()
    return _Server(process=process, control=control)
