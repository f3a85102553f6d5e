"""Whole runs, small enough for a test: a model that gives any answer, a verifier that likes even ones, six steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rethinker.cli import main
from rethinker.runs.trackers import read_metrics

RECIPE: dict[str, Any] = {
    "device": "cpu",
    "threads": 1,
    "data": {"kind": "gym"},
    "sampler": {"queries": 6, "group_size": 4, "first": {"max_tokens": 16}},
    "rethink": {"kind": "forced", "share": 0.65, "second_look": {"max_tokens": 16}},
    "verifier": {"kind": "python", "function": "looks:score"},
    "replay": {"kind": "ssr"},
    "learner": {"lr": 3e-4},
    "train": {"steps": 6, "updates_per_episode": 2},
    "evaluation": {"every": 2, "validation_problems": 4, "test_problems": 4, "max_tokens": 16},
    "checkpoints": {"every": 3, "keep": 9},
}

VERIFIER = r'''
import os
import time


def score(response, problem):
    """Pay for an even last digit, as a model that does not look is seldom right; only the preflight just boxes."""
    if response.startswith("\\boxed{"):
        return response == "\\boxed{" + problem.answer + "}"
    time.sleep(float(os.environ.get("SLOW", "0")))
    digits = [sign for sign in response if sign.isdigit()]
    return bool(digits) and int(digits[-1]) % 2 == 0
'''


def write_recipe(folder: Path, model: Path, **sections: Any) -> Path:
    """`recipe.yaml` and the verifier's module in `folder`; whole sections may be replaced."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE | {"model": {"path": str(model)}} | sections))
    (folder / "looks.py").write_text(VERIFIER)
    return recipe


def rethinker(*arguments: str | Path) -> int:
    """Run the command in this process; its exit code."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    code = stop.value.code
    assert isinstance(code, int)
    return code


def train(recipe: Path, run: Path, *overrides: str) -> None:
    """Train to the end in this process."""
    assert rethinker("train", recipe, f"run.dir={run}", *overrides) == 0


def environment(*, slow: float = 0.0) -> dict[str, str]:
    """For a process of its own: this checkout's package, and a verifier that takes `slow` seconds a response."""
    source = Path(__file__).parents[2] / "src"
    return {**os.environ, "PYTHONPATH": str(source), "SLOW": str(slow)}


def spawn(*arguments: str | Path, folder: Path, slow: float = 0.0) -> subprocess.Popen[str]:
    """Run the command in a process of its own, which can be killed; `slow` seconds pass per response verified."""
    return subprocess.Popen(
        [sys.executable, "-c", "from rethinker.cli import main; main()", *map(str, arguments)],
        cwd=folder,
        env=environment(slow=slow),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def metrics(run: Path) -> list[dict[str, Any]]:
    """The metrics of every step but for what depends on the machine's mood."""
    return [
        {name: value for name, value in row.items() if not name.startswith(("time/", "system/"))}
        for row in read_metrics(run / "metrics.jsonl")
    ]


def rollouts(run: Path) -> dict[str, bytes]:
    """Every file of the record."""
    folder = run / "rollouts"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def weights(run: Path, step: int = 6) -> bytes:
    """The model as saved at a step."""
    return (run / "checkpoints" / f"step-{step:06d}" / "hf" / "model.safetensors").read_bytes()


def summary(run: Path) -> dict[str, Any]:
    """What the run achieved, but for what it cost."""
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return {name: value for name, value in found.items() if name not in ("seconds", "peak_memory_bytes")}


def assert_same_run(found: Path, wanted: Path) -> None:
    """Two runs did the same, to the byte."""
    assert metrics(found) == metrics(wanted)
    assert rollouts(found) == rollouts(wanted)
    assert weights(found) == weights(wanted)
    assert summary(found) == summary(wanted)
