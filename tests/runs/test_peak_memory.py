"""The peak counts this process and what it started."""

import mmap
import subprocess
import sys
import time

import pytest

from rethinker.runs import memory
from rethinker.runs.memory import PeakMemory, tree_memory_bytes

HOLD = "import sys; held = bytearray(b'x') * 60_000_000; print('held', flush=True); sys.stdin.read()"


def test_child_processes_count_and_the_peak_stays_after_they_end():
    with PeakMemory(interval=0.01) as watched:
        before = watched.sample()
        child = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "held\n"
        assert watched.sample() > before + 50_000_000
        child.communicate()
    assert watched.peak_bytes > before + 50_000_000
    assert tree_memory_bytes() < watched.peak_bytes - 30_000_000


def test_memory_that_was_freed_before_the_end_is_in_the_peak():
    with PeakMemory(interval=60) as watched:
        before = watched.peak_bytes
        with mmap.mmap(-1, 80_000_000) as held:  # of its own: the allocator may have as much lying idle
            held.write(b"x" * 80_000_000)
            watched.sample()
    assert watched.peak_bytes > before + 70_000_000


def test_watching_a_tree_that_takes_long_to_read_takes_little_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    samples: list[int] = []

    def slow() -> int:
        samples.append(len(samples) + 1)
        busy_until = time.thread_time() + 0.02
        while time.thread_time() < busy_until:
            pass
        return samples[-1]

    monkeypatch.setattr(memory, "tree_memory_bytes", slow)
    with PeakMemory(interval=0.001) as watched:
        time.sleep(0.5)
        assert len(samples) <= 3  # at its beginning, after the interval, and not for two seconds from then on
        assert watched.latest_bytes == watched.peak_bytes
