"""Memory that runs out in an update is said with what to lower; the run goes on from its checkpoint as if nothing had
happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e import runs

SHORT_OF_MEMORY = """
import resource
from rethinker.cli import main
from rethinker.learner.learner import PolicyLearner

update = PolicyLearner.update

def short(self, chosen):
    \"\"\"With no more than the process has, until it is over: what is read meanwhile may come short too.\"\"\"
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), resource.RLIM_INFINITY))
    try:
        return update(self, chosen)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

PolicyLearner.update = short
main()
"""

NOTHING_KEPT = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""Else the C library may have kept enough of what was freed for a whole update."""


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process as Linux does")
def test_memory_that_runs_out_in_an_update_is_named_with_its_remedy(
    talker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs.write_recipe(tmp_path, talker)
    for name in ("run", "unbroken"):
        runs.train(tmp_path / "recipe.yaml", Path(name), "train.steps=2", "checkpoints.every=2")
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, "train", "--resume", "run", "train.steps=6"],
        env=runs.environment() | NOTHING_KEPT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "memory ran out in the part update" in done.stderr
    assert "Lower learner.micro_batch_tokens=16384" in done.stderr
    assert "step-000002 is saved; go on with: rethinker train --resume run" in done.stderr
    assert "Traceback" not in done.stderr
    for name in ("run", "unbroken"):
        assert runs.rethinker("train", "--resume", name, "train.steps=6", "learner.micro_batch_tokens=2048") == 0
    runs.assert_same_run(Path("run"), Path("unbroken"))
