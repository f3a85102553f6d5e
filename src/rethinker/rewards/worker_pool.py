"""A pool of worker processes with hard limits, whatever it is that they do.

One thread per worker takes a batch from the shared queue, and resolves one future per reply as it arrives. A worker
that hangs, dies or talks nonsense costs the item it was at, and nothing else.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic

from rethinker.rewards.process import Item, PoolClosedError, Reply, Work, WorkerLostError, WorkerProcess
from rethinker.timing import Stopwatch
from rethinker.types import Outcome

_LARGEST_BATCH = 64
"""Items sent to a worker at once: enough to hide the pipe's latency, few enough to share a queue among workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job(Generic[Item, Reply]):
    item: Item
    future: Future[Reply] = field(default_factory=Future)

    def resolve(self, reply: Reply) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(reply)


class WorkerPool(Generic[Item, Reply]):
    """Has every item submitted done by one of some workers; each gets exactly one reply.

    A context manager; `submit` may be called from any thread.

    Args:
        work: What the workers do.
        failed: The reply for an item that was not done, from how it ended and why.
        workers: Worker processes.
        stopwatch: Told how long they are busy.

    Raises:
        WorkerLostError: a worker cannot be started.
    """

    def __init__(
        self,
        work: Work[Item, Reply],
        failed: Callable[[Item, Outcome, str], Reply],
        *,
        workers: int,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._work = work
        self._failed = failed
        self._stopwatch = stopwatch or Stopwatch()
        self._queue: deque[_Job[Item, Reply]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._closed_read, self._closed_write = os.pipe()
        started: list[Future[None]] = [Future() for _ in range(workers)]
        self._threads = [
            threading.Thread(target=self._serve, args=(future,), name=f"worker-{i}", daemon=True)
            for i, future in enumerate(started)
        ]
        for thread in self._threads:
            thread.start()
        try:
            for future in started:
                future.result()
        except WorkerLostError:
            self.close()
            raise

    def submit(self, item: Item) -> Future[Reply]:
        """Queue one item; its future resolves to a reply, whatever happens.

        Raises:
            RuntimeError: the pool is closed.
        """
        job: _Job[Item, Reply] = _Job(item=item)
        with self._changed:
            if self._closed:
                raise RuntimeError("the worker pool is closed; nothing can be submitted to it")
            self._queue.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Kill the workers; items without a reply get the one of an error. Closing twice is fine."""
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
            self._fail(job, Outcome.ERROR, "the worker pool was closed")
        self._queue.clear()

    def __enter__(self) -> WorkerPool[Item, Reply]:
        """The pool itself; its workers are ready."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the pool."""
        self.close()

    def _serve(self, started: Future[None]) -> None:
        """One thread's life: start a worker, keep it busy, kill it at the end."""
        worker = WorkerProcess(self._work, self._closed_read)
        try:
            worker.ensure_started()
        except (WorkerLostError, PoolClosedError) as error:
            started.set_exception(error)
        else:
            started.set_result(None)
            while batch := self._take():
                with self._stopwatch.apart("verify"):
                    self._do(worker, batch)
        finally:
            worker.close()

    def _take(self) -> list[_Job[Item, Reply]]:
        """Wait for work and take this worker's share of it; nothing once the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if self._closed:
                return []
            share = -(-len(self._queue) // len(self._threads))
            return [self._queue.popleft() for _ in range(min(share, _LARGEST_BATCH))]

    def _do(self, worker: WorkerProcess[Item, Reply], batch: list[_Job[Item, Reply]]) -> None:
        """Resolve a batch. When its worker is lost, the item due is charged and the rest goes back to the queue."""
        due = deque(batch)
        try:
            worker.ensure_started()
            for reply in worker.replies([job.item for job in batch]):
                due.popleft().resolve(reply)
        except WorkerLostError as lost:
            worker.kill()
            self._fail(due.popleft(), lost.outcome, str(lost))
            self._put_back(due)
        except PoolClosedError:
            self._put_back(due)

    def _put_back(self, jobs: deque[_Job[Item, Reply]]) -> None:
        with self._changed:
            self._queue.extendleft(reversed(jobs))
            self._changed.notify_all()

    def _fail(self, job: _Job[Item, Reply], outcome: Outcome, why: str) -> None:
        job.resolve(self._failed(job.item, outcome, why))
