"""Where a step's time goes: named stretches of wall time, drained once a step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rethinker.types import Mean, Metrics


class Stopwatch:
    """Adds up seconds under names. Stretches of different names may nest; each counts in full."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        """Start from nothing; `names` are reported even where no time was spent."""
        self._names = tuple(names)
        self._seconds = dict.fromkeys(self._names, 0.0)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what happens inside the block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    def drain(self) -> Metrics:
        """`time/<name>` in seconds since the last drain; starts again from nothing."""
        drained = {f"time/{name}": Mean(sum=seconds) for name, seconds in self._seconds.items()}
        self._seconds = dict.fromkeys(self._names, 0.0)
        return drained
