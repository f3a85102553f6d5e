"""A source of made-up rows."""

from __future__ import annotations

from rethinker.errors import DataError
from rethinker.interfaces import ProblemSource
from rethinker.types import Problem


class Numbers(ProblemSource):
    """Rows 0 to n - 1; those in `bad` cannot become problems."""

    def __init__(self, n: int, bad: frozenset[int] = frozenset()) -> None:
        self._n, self._bad = n, bad

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Problem:
        if index in self._bad:
            raise DataError(f"row {index} is bad")
        return Problem(id=self.id(index), images=(), question="?", answer="1", verifier="number")
