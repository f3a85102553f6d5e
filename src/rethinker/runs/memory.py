"""Memory of the process tree: this process, the verifier's workers and whatever else it started."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Literal, Self

import psutil

MEMORY_MEASURE: Literal["pss", "rss"] = "pss" if psutil.LINUX else "rss"
"""What is summed: the proportional set size, which divides shared pages among their users, where the system has it;
else the resident set size, which counts them once per process."""


_SHARE = 0.01
"""Most of a core's time that watching may take."""


def _process_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss if MEMORY_MEASURE == "pss" else process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0  # it ended between being listed and being read


def tree_memory_bytes() -> int:
    """Bytes in memory of this process and all its descendants (see `MEMORY_MEASURE`); about 2 ms for a small tree."""
    this = psutil.Process()
    return sum(_process_bytes(process) for process in (this, *this.children(recursive=True)))


class PeakMemory:
    """Samples the process tree in a daemon thread and keeps the largest sum.

    A sample every `interval` seconds misses shorter peaks; a training step's are far longer. Reading a large tree, such
    as Ray's, takes a core tens of milliseconds: it is read less often, so that the run does not notice.
    """

    def __init__(self, interval: float = 0.25) -> None:
        self._interval = interval
        self._latest = self._peak = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def _watch(self) -> None:
        pause = self._interval
        while not self._stopped.wait(pause):
            began = time.thread_time()
            self.sample()
            pause = max(self._interval, (time.thread_time() - began) / _SHARE)

    def sample(self) -> int:
        """Measure now; return the bytes, which count towards the peak."""
        self._latest = tree_memory_bytes()
        self._peak = max(self._peak, self._latest)
        return self._latest

    @property
    def latest_bytes(self) -> int:
        """The newest sample, without another."""
        return self._latest

    @property
    def peak_bytes(self) -> int:
        """Largest sum seen so far."""
        return self._peak

    def __enter__(self) -> Self:
        self.sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self.sample()
