"""`rethinker …` in a process that says in a file which part of a step it is in, for whoever kills it.

    python benchmarks/killable.py PART_FILE train …

The file holds the part and how many were entered, padded to a fixed width and written in place: a kill leaves the last.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rethinker.cli import main
from rethinker.timing import Stopwatch

WIDTH = 32
START, BETWEEN = "start", "between"
PARTS = ("generate", "verify", "rethink", "update", "sync", "record", "save", "evaluate")


class Told:
    """Writes down the part of a step that the main thread is in."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT)
        self._entered = 0
        self._part = START
        self._write()

    def _write(self) -> None:
        os.pwrite(self._file, f"{self._part} {self._entered}".ljust(WIDTH).encode(), 0)

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """A part that the run goes through."""
        around = self._part
        self._part, self._entered = name, self._entered + 1
        self._write()
        try:
            yield
        finally:
            self._part = BETWEEN if around == START else around
            self._write()


def tell(told: Told) -> None:
    """Have every stopwatch tell."""
    plain, owner = Stopwatch.within, threading.main_thread()

    @contextmanager
    def within(self: Stopwatch, name: str) -> Iterator[None]:
        if name not in PARTS or threading.current_thread() is not owner:
            with plain(self, name):
                yield
        else:
            with told.within(name), plain(self, name):
                yield

    Stopwatch.within = within  # type: ignore[method-assign]


if __name__ == "__main__":
    tell(Told(sys.argv[1]))
    main(sys.argv[2:])
