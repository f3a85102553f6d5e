"""Where a step's time goes: named stretches of wall time, drained once a step; where asked for, every span recorded.

The stopwatch always runs and costs nothing worth naming. A recorder behind it sees finer stretches too, nested and on
other threads, and waits for the device at their borders: that is a profile, and it is made only when asked for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

from rethinker.types import Mean, Metrics

Path = tuple[str, ...]
"""A stretch and those around it, the outermost first."""

_FREE = nullcontext()


class Stopwatch:
    """Adds up seconds under names. Stretches of different names may nest; each counts in full.

    Args:
        names: Reported even where no time was spent.
        recorder: Takes every stretch, the finer ones included.
    """

    def __init__(self, names: Sequence[str] = (), *, recorder: Recorder | None = None) -> None:
        self._names = tuple(names)
        self._recorder = recorder
        self._seconds = dict.fromkeys(self._names, 0.0)
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        self.left: str | None = None
        """The innermost stretch that an error ended."""

    @property
    def recording(self) -> bool:
        """Whether what is counted is kept; ask before counting what costs something."""
        return self._recorder is not None

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what happens inside the block."""
        start = time.perf_counter()
        try:
            with self.within(name):
                yield
        except BaseException:
            self.left = self.left or name
            raise
        finally:
            with self._lock:
                self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    def within(self, name: str) -> AbstractContextManager[None]:
        """A finer stretch, for the recorder alone; on another thread than the stopwatch's own it stands `apart`."""
        if self._recorder is None:
            return _FREE
        return self._recorder.span(name) if self._thread == threading.get_ident() else self._recorder.apart(name)

    def apart(self, name: str) -> AbstractContextManager[None]:
        """The same on another thread, beside what the main thread does."""
        return self._recorder.apart(name) if self._recorder else _FREE

    def count(self, **amounts: float) -> None:
        """What the innermost open stretch got done (`tokens`, …), for the recorder alone."""
        if self._recorder and self._thread == threading.get_ident():
            self._recorder.count(amounts)

    def start(self) -> None:
        """Forget what was timed so far: the first step begins."""
        self.drain()
        if self._recorder:
            self._recorder.start()

    def lap(self, step: int) -> None:
        """A step ended, the next begins; for the recorder alone."""
        if self._recorder:
            self._recorder.lap(step)

    def drain(self) -> Metrics:
        """`time/<name>` in seconds since the last drain; starts again from nothing."""
        with self._lock:
            drained, self._seconds = self._seconds, dict.fromkeys(self._names, 0.0)
        return {f"time/{name}": Mean(sum=seconds) for name, seconds in drained.items()}


class Event(NamedTuple):
    """One span as it happened; `thread` is empty for the main one."""

    name: str
    start: float
    seconds: float
    thread: str
    counts: Mapping[str, float]


@dataclass(slots=True)
class Part:
    """All spans of one path within a step: seconds outside of inner spans, and what was counted in them."""

    seconds: float = 0.0
    counts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """One step. The parts are exclusive of each other: what they leave of the seconds was in no stretch.

    Attributes:
        start: Seconds since the recorder was made.
        apart: Seconds of other threads by name, all threads together.
    """

    step: int
    start: float
    seconds: float
    parts: Mapping[Path, Part]
    apart: Mapping[str, float]


class Recorder:
    """Takes spans: summed for each step, and the latest one by one.

    Args:
        synchronise: Waits until the device has done what it was given; called at the borders of the main thread's
            spans, so that work counts where it was asked for.
        events: Most spans kept one by one.
    """

    def __init__(self, *, synchronise: Callable[[], None] = lambda: None, events: int = 100_000) -> None:
        self._synchronise = synchronise
        self._origin = self._began = time.perf_counter()
        self._open: list[_Open] = []
        self._parts: dict[Path, Part] = {}
        self._apart: dict[str, float] = {}
        self._threads = threading.Lock()
        self.events: deque[Event] = deque(maxlen=events)
        self.laps: list[Lap] = []

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """A stretch of the main thread."""
        self._synchronise()
        self._open.append(_Open(name, time.perf_counter()))
        try:
            yield
            self._synchronise()
        finally:
            self._close()

    def _close(self) -> None:
        path = tuple(span.name for span in self._open)
        span, end = self._open.pop(), time.perf_counter()
        seconds = end - span.start
        part = self._parts.setdefault(path, Part())
        part.seconds += seconds - span.inside
        _add(part.counts, span.counts)
        if self._open:
            self._open[-1].inside += seconds
        self.events.append(Event(span.name, span.start - self._origin, seconds, "", span.counts))

    @contextmanager
    def apart(self, name: str) -> Iterator[None]:
        """A stretch of any other thread."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.events.append(Event(name, start - self._origin, seconds, threading.current_thread().name, {}))
            with self._threads:
                _add(self._apart, {name: seconds})

    def count(self, amounts: Mapping[str, float]) -> None:
        """Add to the innermost open span."""
        if self._open:
            _add(self._open[-1].counts, amounts)

    def start(self) -> None:
        """Forget what no lap holds."""
        self._began = time.perf_counter()
        self.events.clear()
        self._take()

    def lap(self, step: int) -> None:
        """Close a step."""
        self._synchronise()
        start, self._began = self._began, time.perf_counter()
        since, seconds = start - self._origin, self._began - start
        parts, apart = self._take()
        self.laps.append(Lap(step=step, start=since, seconds=seconds, parts=parts, apart=apart))
        self.events.append(Event(f"step {step}", since, seconds, "", {}))

    def _take(self) -> tuple[dict[Path, Part], dict[str, float]]:
        parts, self._parts = self._parts, {}
        with self._threads:
            apart, self._apart = self._apart, {}
        return parts, apart


@dataclass(slots=True)
class _Open:
    """A span that has not ended; `inside` are the seconds of those that did within it."""

    name: str
    start: float
    inside: float = 0.0
    counts: dict[str, float] = field(default_factory=dict)


def _add(held: dict[str, float], more: Mapping[str, float]) -> None:
    for name, amount in more.items():
        held[name] = held.get(name, 0.0) + amount
