"""The pool's side of one worker process: start it, send it a batch, wait for verdicts no longer than allowed, kill it.

Owned by one thread. Linux kills a worker when the thread that started it ends, so that thread is also its server.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rethinker.rewards.wire import (
    OUT_OF_MEMORY,
    GarbledError,
    Inbox,
    Message,
    WorkerSettings,
    decode_verdict,
    pack_batch,
)
from rethinker.types import Outcome, Problem, Verdict

_LOADING_SECONDS = 120.0
"""Most seconds a worker may take to start or to import math-verify; slow disks are not a response's fault."""

_CHUNK = 1 << 16


class WorkerLostError(Exception):
    """A worker did not do its work and must be killed.

    Attributes:
        outcome: `TIMEOUT` or `ERROR`: the outcome of the response it was scoring.
    """

    def __init__(self, outcome: Outcome, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome


class PoolClosedError(Exception):
    """The pool was closed while a worker was being waited for."""


class WorkerProcess:
    """One worker process, started anew whenever it is gone.

    Args:
        settings: What every worker of the pool is started with.
        closed: A descriptor that becomes readable when the pool closes.
    """

    def __init__(self, settings: WorkerSettings, closed: int) -> None:
        self._settings = settings
        self._closed = closed
        self._process: subprocess.Popen[bytes] | None = None
        self._inbox = Inbox()
        self._messages: deque[Message] = deque()

    def ensure_started(self) -> None:
        """Start the process unless it is running, and wait until it is ready.

        Raises:
            WorkerLostError: it did not become ready.
        """
        if self._process is not None and _is_running(self._process):
            return
        self.kill()
        self._inbox, self._messages = Inbox(), deque()
        self._process = _start(self._settings)
        message = self._receive(time.monotonic() + _LOADING_SECONDS, _LOADING_SECONDS)
        if message.get("state") != "ready":
            raise WorkerLostError(Outcome.ERROR, str(message.get("why", message)))

    def score(self, batch: Sequence[tuple[Problem, str]]) -> Iterator[Verdict]:
        """Yield a verdict per response, in order, each within the time limit.

        Raises:
            WorkerLostError: the response whose verdict is due was not scored; those behind it are unharmed.
            PoolClosedError: the pool closed meanwhile.
        """
        self._send(pack_batch(batch, whole=bool(self._settings.function)))
        for index in range(len(batch)):
            yield self._verdict(index)

    def kill(self) -> int | None:
        """End the process and whatever it started; its exit status, which is its own if it had ended already."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS forbids signals to a dying group
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        return process.wait()

    def _verdict(self, index: int) -> Verdict:
        limit = self._settings.timeout_seconds
        while True:
            message = self._receive(time.monotonic() + limit, limit)
            match message:
                case {"state": "loading"}:
                    limit = _LOADING_SECONDS
                case {"state": "ready"}:
                    limit = self._settings.timeout_seconds
                case {"index": received, "verdict": dict(record)} if received == index:
                    try:
                        return decode_verdict(record)
                    except GarbledError as error:
                        raise _garbled(error) from error
                case _:
                    raise _garbled(GarbledError(f"{str(message)[:80]} in place of verdict {index}"))

    def _send(self, frame: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        pipe, deadline = self._process.stdin.fileno(), time.monotonic() + _LOADING_SECONDS
        unsent = memoryview(frame)
        while unsent:
            self._wait(pipe, select.POLLOUT, deadline, _LOADING_SECONDS)
            try:
                unsent = unsent[os.write(pipe, unsent) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise WorkerLostError(Outcome.ERROR, self._last_words()) from None

    def _receive(self, deadline: float, limit: float) -> Message:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while not self._messages:
            self._wait(pipe, select.POLLIN, deadline, limit)
            received = os.read(pipe, _CHUNK)
            if not received:
                raise WorkerLostError(Outcome.ERROR, self._last_words())
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

    def _last_words(self) -> str:
        """How the process ended, for people."""
        status = self.kill()
        assert status is not None
        if status == OUT_OF_MEMORY:
            return f"the worker needed more than {self._settings.memory_bytes} bytes (verifier.memory_bytes)"
        if status < 0:
            return f"the worker was killed by {signal.Signals(-status).name}"
        return f"the worker exited with status {status}"


def _garbled(error: GarbledError) -> WorkerLostError:
    return WorkerLostError(Outcome.ERROR, f"the worker sent garbage: {error}")


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has not ended. It is not reaped here, so that `kill` still signals the right process group."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _start(settings: WorkerSettings) -> subprocess.Popen[bytes]:
    """A fresh interpreter that finds what this one finds, with one thread for arithmetic.

    A session of its own keeps a terminal's Ctrl-C, which asks the trainer to finish its step, from killing it.
    """
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "rethinker.rewards.worker", json.dumps(asdict(settings))]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=settings.folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise WorkerLostError(Outcome.ERROR, f"a worker cannot be started: {error}") from error
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), False)
    return process
