"""A real torchrun of two processes on this machine; one is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.e2e import runs

pytestmark = pytest.mark.cluster

PATIENCE = 400.0


def launch(folder: Path, run: Path, *, restarts: int, slow: float = 0.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [f"--max-restarts={restarts}", "-m", "rethinker", "train", "recipe.yaml", f"run.dir={run}"]
    return subprocess.Popen(
        [*command, "cluster.kind=torchrun", "evaluation.every=0"],
        cwd=folder,
        env=runs.environment(slow=slow) | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def steps(run: Path) -> int:
    metrics = run / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.exists() else 0


def rank_1(process: subprocess.Popen[str]) -> psutil.Process:
    for child in psutil.Process(process.pid).children(recursive=True):
        if "rethinker" in child.cmdline() and child.environ().get("RANK") == "1":
            return child
    raise AssertionError("there is no rank 1")


def test_a_launch_whose_rank_was_killed_begins_again_and_goes_on(talker: Path, tmp_path: Path) -> None:
    """And ends as an undisturbed one, to the byte."""
    runs.write_recipe(tmp_path, talker, checkpoints={"every": 1, "keep": 9})
    undisturbed = launch(tmp_path, tmp_path / "undisturbed", restarts=0)
    said, _ = undisturbed.communicate(timeout=PATIENCE)
    assert undisturbed.returncode == 0, said
    process = launch(tmp_path, tmp_path / "killed", restarts=1, slow=0.05)
    deadline = time.monotonic() + PATIENCE
    while steps(tmp_path / "killed") < 2:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    rank_1(process).kill()
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    runs.assert_same_run(tmp_path / "killed", tmp_path / "undisturbed")
