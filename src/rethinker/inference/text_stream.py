"""Text of a response while its tokens come: whole characters alone, and nothing that may yet be a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_PART = "�"
"""Stands at the end of a text whose last character is not whole yet."""

BEHIND = 6
"""Tokens decoded again with new ones: how some tokenizers write a token depends on those before it."""


class TextStream:
    """Text of one look.

    Args:
        decode: Token ids to text.
        stops: The first of these ends the text, and is no part of it.

    Attributes:
        text: All that was given out.
        stopped: Whether a stop string came.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stops = tuple(stops)
        self._ids: list[int] = []
        self._start = 0
        self._read = 0
        self._held = ""
        self.text = ""
        self.stopped = False

    def push(self, token_ids: Sequence[int], *, last: bool = False) -> str:
        """Text that came with these tokens; with the last ones, all that was held back too."""
        self._ids += token_ids
        return self._released(self._grown(last), last) if not self.stopped else ""

    def _grown(self, last: bool) -> str:
        before = self._decode(self._ids[self._start : self._read])
        now = self._decode(self._ids[self._start :])
        if not last and (len(now) <= len(before) or now.endswith(_PART)):
            return ""
        self._start, self._read = max(self._start, self._read - BEHIND), len(self._ids)
        return now[len(before) :]

    def _released(self, grown: str, last: bool) -> str:
        held = self._held + grown
        found = [place for stop in self._stops if (place := held.find(stop)) >= 0]
        if found:
            self.stopped, end = True, min(found)
        else:
            end = len(held) - (0 if last else self._may_begin_a_stop(held))
        self._held = held[end:]
        self.text += held[:end]
        return held[:end]

    def _may_begin_a_stop(self, held: str) -> int:
        """Characters at the end that are the beginning of a stop string."""
        lengths = (
            length for stop in self._stops for length in range(len(stop) - 1, 0, -1) if held.endswith(stop[:length])
        )
        return max(lengths, default=0)
