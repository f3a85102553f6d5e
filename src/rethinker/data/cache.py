"""Problems kept with their decoded images, within a memory bound: for rows that come again."""

from __future__ import annotations

import threading
from collections import OrderedDict

from rethinker.interfaces import ProblemSource
from rethinker.types import Outline, Problem

OVERHEAD_BYTES = 2_000
"""Counted for a problem beside its pixels, so that text alone is bounded too."""


def problem_bytes(problem: Problem) -> int:
    """About how much memory a problem takes."""
    return OVERHEAD_BYTES + sum(image.pixels.nbytes for image in problem.images)


class Cached(ProblemSource):
    """Another source, whose last used problems stay in memory. Safe to use from several threads.

    Args:
        source: The whole.
        memory_bytes: Bound on the problems kept; a larger one is never kept.
    """

    def __init__(self, source: ProblemSource, *, memory_bytes: int) -> None:
        self._source = source
        self._memory_bytes = memory_bytes
        self._kept: OrderedDict[int, Problem] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._source)

    @property
    def bytes_kept(self) -> int:
        """Memory of the problems kept."""
        return self._bytes

    def id(self, index: int) -> str:
        """The row's id."""
        return self._source.id(index)

    def outline(self, index: int) -> Outline:
        """The row's outline."""
        return self._source.outline(index)

    def __getitem__(self, index: int) -> Problem:
        """The problem as kept, or read and kept.

        Raises:
            DataError: the row cannot become a problem.
        """
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
        problem = self._source[index]
        with self._lock:
            self._keep(index, problem)
        return problem

    def _keep(self, index: int, problem: Problem) -> None:
        if index in self._kept or problem_bytes(problem) > self._memory_bytes:
            return
        self._kept[index] = problem
        self._bytes += problem_bytes(problem)
        while self._bytes > self._memory_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= problem_bytes(dropped)
