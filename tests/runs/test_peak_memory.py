"""The peak counts this process and what it started."""

import subprocess
import sys

import numpy as np

from rethinker.runs.memory import PeakMemory, tree_memory_bytes

HOLD = "import sys; held = bytearray(b'x') * 60_000_000; print('held', flush=True); sys.stdin.read()"


def test_child_processes_count_and_the_peak_stays_after_they_end():
    with PeakMemory(interval=0.01) as memory:
        before = memory.sample()
        child = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "held\n"
        assert memory.sample() > before + 50_000_000
        child.communicate()
    assert memory.peak_bytes > before + 50_000_000
    assert tree_memory_bytes() < memory.peak_bytes - 30_000_000


def test_memory_that_was_freed_before_the_end_is_in_the_peak():
    with PeakMemory(interval=60) as memory:
        before = memory.peak_bytes
        held = np.ones(10_000_000)
        memory.sample()
        del held
    assert memory.peak_bytes > before + 70_000_000
