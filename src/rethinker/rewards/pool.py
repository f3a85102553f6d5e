"""The pool that scores responses in worker processes, out of the trainer's way and out of its memory.

One thread per worker takes a batch from the shared queue, and resolves one future per verdict as it arrives. A worker
that hangs, dies or talks nonsense costs the response it was scoring, and nothing else.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType

from rethinker.errors import ConfigError, RethinkerError
from rethinker.interfaces import Scorer
from rethinker.rewards.extract import final_answer
from rethinker.rewards.process import PoolClosedError, WorkerLostError, WorkerProcess
from rethinker.rewards.wire import WorkerSettings
from rethinker.timing import Stopwatch
from rethinker.types import Outcome, Problem, Verdict

_LARGEST_BATCH = 64
"""Responses sent to a worker at once: enough to hide the pipe's latency, few enough to share a queue among workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    problem: Problem
    response: str
    future: Future[Verdict] = field(default_factory=Future)

    def resolve(self, verdict: Verdict) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(verdict)

    def fail(self, outcome: Outcome, detail: str) -> None:
        self.resolve(Verdict(outcome=outcome, reward=0.0, extracted=final_answer(self.response), detail=detail))


class VerifierPool(Scorer):
    """Scores responses by rule, or by a user's function, in worker processes with hard limits.

    Every response submitted gets exactly one verdict. A context manager; `submit` may be called from any thread.

    Args:
        workers: Worker processes.
        timeout_seconds: Most seconds for one response; then the worker is killed and the outcome is `timeout`.
        memory_bytes: Address space a worker may add to what it starts with; beyond it the outcome is `error` (Linux).
        function: `module:function`, called as `function(response, problem)`; empty verifies by the problems' rules.
        threshold: A function's score from here on is correct.
        stopwatch: Told how long the workers are busy.

    Raises:
        ConfigError: the function cannot be imported.
        RethinkerError: a worker cannot be started.
    """

    def __init__(
        self,
        *,
        workers: int,
        timeout_seconds: float,
        memory_bytes: int,
        function: str = "",
        threshold: float = 1.0,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._stopwatch = stopwatch or Stopwatch()
        self._settings = WorkerSettings(
            timeout_seconds=timeout_seconds,
            memory_bytes=memory_bytes,
            function=function,
            threshold=threshold,
            folder=os.getcwd(),
            parent=os.getpid(),
        )
        self._queue: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._closed_read, self._closed_write = os.pipe()
        started: list[Future[None]] = [Future() for _ in range(workers)]
        self._threads = [
            threading.Thread(target=self._serve, args=(future,), name=f"verifier-{i}", daemon=True)
            for i, future in enumerate(started)
        ]
        for thread in self._threads:
            thread.start()
        try:
            for future in started:
                future.result()
        except WorkerLostError as error:
            self.close()
            raise self._start_error(error) from error

    def submit(self, problem: Problem, response: str) -> Future[Verdict]:
        """Queue one response; its future resolves to a verdict, whatever happens.

        Raises:
            RuntimeError: the pool is closed.
        """
        job = _Job(problem=problem, response=response)
        with self._changed:
            if self._closed:
                raise RuntimeError("the verifier pool is closed; nothing can be submitted to it")
            self._queue.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Kill the workers; responses without a verdict get an `error` outcome. Closing twice is fine."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        os.close(self._closed_write)
        for thread in self._threads:
            thread.join()
        os.close(self._closed_read)
        for job in self._queue:
            job.fail(Outcome.ERROR, "the verifier pool was closed")
        self._queue.clear()

    def __enter__(self) -> VerifierPool:
        """The pool itself; its workers are ready."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the pool."""
        self.close()

    def _serve(self, started: Future[None]) -> None:
        """One thread's life: start a worker, keep it busy, kill it at the end."""
        worker = WorkerProcess(self._settings, self._closed_read)
        try:
            worker.ensure_started()
        except (WorkerLostError, PoolClosedError) as error:
            started.set_exception(error)
        else:
            started.set_result(None)
            while batch := self._take():
                with self._stopwatch.apart("verify"):
                    self._score(worker, batch)
        finally:
            worker.kill()

    def _take(self) -> list[_Job]:
        """Wait for work and take this worker's share of it; nothing once the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if self._closed:
                return []
            share = -(-len(self._queue) // len(self._threads))
            return [self._queue.popleft() for _ in range(min(share, _LARGEST_BATCH))]

    def _score(self, worker: WorkerProcess, batch: list[_Job]) -> None:
        """Resolve a batch. When its worker is lost, the response due is charged and the rest goes back to the queue."""
        due = deque(batch)
        try:
            worker.ensure_started()
            for verdict in worker.score([(job.problem, job.response) for job in batch]):
                due.popleft().resolve(verdict)
        except WorkerLostError as lost:
            worker.kill()
            due.popleft().fail(lost.outcome, str(lost))
            self._put_back(due)
        except PoolClosedError:
            self._put_back(due)

    def _put_back(self, jobs: deque[_Job]) -> None:
        with self._changed:
            self._queue.extendleft(reversed(jobs))
            self._changed.notify_all()

    def _start_error(self, error: WorkerLostError) -> RethinkerError:
        if not self._settings.function:
            return RethinkerError(f"a verifier worker did not start: {error}")
        return ConfigError(
            f"verifier.function={self._settings.function!r} cannot be loaded in a worker: {error}. It must be "
            f"module:function, importable from {self._settings.folder} or from an installed package"
        )
