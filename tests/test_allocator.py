import subprocess
import sys

import pytest

from rethinker.allocator import keep_freed_memory

HELD = """
import sys
import psutil, torch
from rethinker.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
process = psutil.Process()
before = process.memory_info().rss
block = torch.ones(5_000_000)  # 20 MB
del block
print(process.memory_info().rss - before)
"""


def held_bytes(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", HELD, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_memory_that_was_freed_stays_at_hand() -> None:
    assert held_bytes("given back") < 10_000_000 < held_bytes("kept")


def test_another_platform_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
