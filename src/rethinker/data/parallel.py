"""One function over many rows in threads, in order and within bounded memory.

Threads, not processes: Pillow and zlib release the interpreter's lock where the time goes, and a result (a picture's
pixels, say) need not be copied from one process to another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

AHEAD = 4
"""Calls begun and not yet taken, per worker: enough to even out rows that differ in cost."""


def in_order(function: Callable[[int], Result], rows: Iterable[int], *, workers: int) -> Iterator[Result]:
    """Yield `function(row)` for each row, in the rows' order.

    Args:
        function: Called from several threads at once.
        rows: Indices.
        workers: Threads.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="rows")
    begun: deque[Future[Result]] = deque()
    try:
        for row in rows:
            begun.append(pool.submit(function, row))
            if len(begun) > AHEAD * workers:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:  # also when the caller stops early: what has not begun never will
        pool.shutdown(cancel_futures=True)
