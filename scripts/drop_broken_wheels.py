"""Uninstall what vLLM brings along and this environment cannot import.

vLLM asks for torchaudio and torchcodec, for models that hear. Their builds for CUDA do not load beside a CPU torch, and
transformers imports torchaudio wherever it is installed: one broken wheel keeps every model from loading. Where they do
import, they stay.

    python scripts/drop_broken_wheels.py
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

HEARING = ("torchaudio", "torchcodec")


def broken(module: str) -> bool:
    """Whether a module is installed and a fresh interpreter cannot import it."""
    if importlib.util.find_spec(module) is None:
        return False
    done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False)
    return done.returncode != 0


def main() -> str:
    """Uninstall the broken ones and say which."""
    doomed = [module for module in HEARING if broken(module)]
    if not doomed:
        return "nothing to drop"
    subprocess.run([sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", *doomed], check=True)
    return f"uninstalled, as they cannot be imported here: {', '.join(doomed)}"


if __name__ == "__main__":
    sys.stdout.write(main() + "\n")
