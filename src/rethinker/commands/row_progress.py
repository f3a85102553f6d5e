"""How far a pass over a data set is, on the error stream."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

from rethinker.runs.progress import Counter


class RowProgress(Counter):
    """Counts rows.

    Args:
        doing: What happens to them ("checking rows").
        rows: All of them.
        done: Those done before.
        console: None is the error stream.
        every_seconds: As in `Counter`; likewise `clock`.
    """

    def __init__(
        self,
        doing: str,
        rows: int,
        *,
        done: int = 0,
        console: Console | None = None,
        every_seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        console = console or Console(stderr=True)
        super().__init__(console, doing, rows, done=done, every_seconds=every_seconds, clock=clock)
        self._doing = doing
        self._done = done

    def advance(self) -> None:
        """One more row is done."""
        self._done += 1
        speed = self._speed()
        self.show(self._done, speed, line=f"{self._doing}  {self._done:,}/{self._total:,}  {speed}")

    def _speed(self) -> str:
        per_second = (self._done - self._start) / self.seconds
        return f"{per_second:,.0f} rows/s" if per_second >= 10 else f"{60 * per_second:,.1f} rows/min"
