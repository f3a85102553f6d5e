"""How many CPU cores this process may use."""

from __future__ import annotations

import os
import sys


def usable_cores() -> int:
    """Cores this process may run on; where the system does not tell (macOS), all there are."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
