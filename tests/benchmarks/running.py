"""Runs a benchmark as a person would."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def quick_run(script: str, folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """The result and what was printed; the picture is `OUT.png` in the folder."""
    out = folder / "out.json"
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--quick", "--threads", "1", "--json", str(out)]
    done = subprocess.run(
        [*command, "--picture", str(folder / "OUT.png"), *arguments], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "OUT.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads(out.read_text())
    assert report["benchmark"] == script.removesuffix(".py")
    assert {"command", "machine", "device", "threads", "repeats", "yardstick", "rows", "details"} <= report.keys()
    return report, done.stdout
