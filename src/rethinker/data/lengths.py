"""Rows whose prompt is too long are refused by their outline, before a pixel of theirs is decoded."""

from __future__ import annotations

from collections.abc import Callable

from rethinker.errors import DataError
from rethinker.interfaces import ProblemSource
from rethinker.types import Outline, Problem


class WithinLength(ProblemSource):
    """Another source, without the rows whose prompt does not fit.

    Args:
        source: The whole.
        length: Tokens of the prompt that an outline becomes; called from several threads.
        max_tokens: Most tokens of a prompt.
    """

    def __init__(self, source: ProblemSource, length: Callable[[Outline], int], *, max_tokens: int) -> None:
        self._source = source
        self._length = length
        self._max_tokens = max_tokens

    def __len__(self) -> int:
        return len(self._source)

    def id(self, index: int) -> str:
        """The row's id."""
        return self._source.id(index)

    def outline(self, index: int) -> Outline:
        """The row's outline.

        Raises:
            DataError: the row cannot become a problem, or its prompt is too long.
        """
        outline = self._source.outline(index)
        tokens = self._length(outline)
        if tokens > self._max_tokens:
            raise DataError(
                f"problem {outline.id}: its prompt has {tokens} tokens, more than prompt.max_tokens="
                f"{self._max_tokens}; raise the limit or lower model.max_pixels"
            )
        return outline

    def __getitem__(self, index: int) -> Problem:
        """Read one row.

        Raises:
            DataError: the row cannot become a problem, or its prompt is too long.
        """
        self.outline(index)
        return self._source[index]
