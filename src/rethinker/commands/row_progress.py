"""How far a pass over a data set is: a bar in a terminal, a line every so often elsewhere. On the error stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class RowProgress:
    """Counts rows.

    Args:
        doing: What happens to them ("checking rows").
        rows: All of them.
        done: Those done before.
        console: None is the error stream.
        every_seconds: Where the console is no terminal, print a line at most this often, and one at the end.
        clock: Seconds from some origin.
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
        self._doing = doing
        self._rows = rows
        self._start = self._done = done
        self._console = console or Console(stderr=True)
        self._every_seconds = every_seconds
        self._clock = clock
        self._began = self._printed = clock()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(doing, total=rows, completed=done, speed="")

    def advance(self) -> None:
        """One more row is done."""
        self._done += 1
        now = self._clock()
        self._bar.update(self._task, completed=self._done, speed=self._speed(now))
        due = now - self._printed >= self._every_seconds or self._done == self._rows
        if not self._console.is_terminal and due:
            self._printed = now
            line = f"{self._doing}  {self._done:,}/{self._rows:,}  {self._speed(now)}"
            self._console.print(line, highlight=False, soft_wrap=True)

    def _speed(self, now: float) -> str:
        per_second = (self._done - self._start) / max(now - self._began, 1e-9)
        return f"{per_second:,.0f} rows/s" if per_second >= 10 else f"{60 * per_second:,.1f} rows/min"

    def __enter__(self) -> Self:
        self._began = self._printed = self._clock()
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
