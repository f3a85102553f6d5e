"""Progress on the console: a bar in a terminal, a line every so often elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from rethinker.units import duration


class Counter:
    """Counts towards a total.

    Args:
        doing: What is done ("training").
        total: How much of it.
        done: What was done before.
        every_seconds: Where the console is no terminal, print a line at most this often, and one at the end.
        clock: Seconds from some origin.
    """

    def __init__(
        self,
        console: Console,
        doing: str,
        total: int,
        *,
        done: int = 0,
        every_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._total = total
        self._start = done
        self._every_seconds = every_seconds
        self._clock = clock
        self._began = self._printed = clock()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(doing, total=total, completed=done, figures="")

    @property
    def seconds(self) -> float:
        """Seconds since it was entered, above 0."""
        return max(self._clock() - self._began, 1e-9)

    def show(self, done: int, figures: str, *, line: str) -> None:
        """Show that `done` is reached: the figures beside the bar, or the line."""
        self._bar.update(self._task, completed=done, figures=figures)
        now = self._clock()
        if not self._console.is_terminal and (now - self._printed >= self._every_seconds or done == self._total):
            self._printed = now
            self._console.print(line, soft_wrap=True, highlight=False)

    def __enter__(self) -> Self:
        self._began = self._printed = self._clock()
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class Progress(Counter):
    """A run's step, reward, mixed groups, tokens/s and time left.

    Args:
        steps: Steps of the whole run.
        start: Steps done before (a resumed run).
        every_seconds: As in `Counter`; likewise `clock`.
    """

    def __init__(
        self,
        console: Console,
        *,
        steps: int,
        start: int = 0,
        every_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(console, "training", steps, done=start, every_seconds=every_seconds, clock=clock)
        self._tokens = 0
        self._reward: float | None = None
        self._mixed: float | None = None

    def phase(self, name: str) -> None:
        """Say what the run is at ("training", "evaluating")."""
        self._bar.update(self._task, description=name)

    def warn(self, text: str) -> None:
        """Say what went wrong that the run does not depend on."""
        self._console.print(text, style="yellow", highlight=False, soft_wrap=True, markup=False)

    def update(self, step: int, *, reward: float | None, mixed: float | None, tokens: int) -> None:
        """Show that `step` is done.

        Args:
            reward: Mean reward, None in a step that generated nothing: the last one stays.
            mixed: Share of mixed groups, likewise.
            tokens: Response tokens generated since the last call.
        """
        self._reward = self._reward if reward is None else reward
        self._mixed = self._mixed if mixed is None else mixed
        self._tokens += tokens
        figures = self._figures()
        left = duration(self.seconds / max(1, step - self._start) * (self._total - step))
        self.show(step, figures, line=f"step {step}/{self._total}  {figures}  {left} left")

    def _figures(self) -> str:
        reward = "–" if self._reward is None else f"{self._reward:.3f}"
        mixed = "–" if self._mixed is None else f"{self._mixed:.0%}"
        return f"reward {reward}  mixed {mixed}  {self._tokens / self.seconds:,.0f} tokens/s"
