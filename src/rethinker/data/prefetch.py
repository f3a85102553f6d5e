"""Rows to come, read and decoded by threads while the training thread does something else.

Threads, not processes: decoders let go of the interpreter's lock. How many there are decides neither the order nor the
content of what comes out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from rethinker.data.cache import problem_bytes
from rethinker.types import Problem

Prepare = Callable[[Problem], None]


class Prefetch:
    """Problems in the order in which their rows were announced.

    Args:
        read: Makes the problem of one row; called from several threads.
        prepare: What else is done ahead with a problem, on the threads alone.
        threads: 0 reads each row when it is asked for.
        memory_bytes: No further row is begun while finished ones hold as much.
    """

    def __init__(
        self, read: Callable[[int], Problem], *, prepare: Prepare | None = None, threads: int, memory_bytes: int
    ) -> None:
        self._read = read
        self._prepare = prepare
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode") if threads else None
        self._announced: deque[int] = deque()
        self._begun: deque[Future[Problem]] = deque()
        self._running = 0
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Rows announced and not taken yet."""
        return len(self._announced) + len(self._begun)

    @property
    def bytes_held(self) -> int:
        """Memory of finished problems that nobody has taken yet."""
        return self._bytes

    def announce(self, row: int) -> None:
        """Say which row will be asked for next after those announced before."""
        with self._lock:
            self._announced.append(row)
            self._begin()

    def take(self) -> Problem:
        """The problem of the first row announced and not taken; waits for it, or reads it if nobody has begun.

        Raises:
            DataError: the row cannot become a problem.
        """
        with self._lock:
            future = self._begun.popleft() if self._begun else None
            row = self._announced.popleft() if future is None else -1
        if future is None:
            return self._read(row)
        problem = future.result()
        with self._lock:
            self._bytes -= problem_bytes(problem)
            self._begin()
        return problem

    def _begin(self) -> None:
        """Let threads begin what there is room for; the lock is held."""
        while self._pool and self._announced and self._running < self._threads and self._bytes < self._memory_bytes:
            self._running += 1
            self._begun.append(self._pool.submit(self._make, self._announced.popleft()))

    def _make(self, row: int) -> Problem:
        size = 0
        try:
            problem = self._read(row)
            size = problem_bytes(problem)
            if self._prepare is not None:
                self._prepare(problem)
            return problem
        finally:
            with self._lock:
                self._running -= 1
                self._bytes += size
                self._begin()
