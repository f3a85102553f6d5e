"""A disk that is full or cannot be written is said by its name, one that is slow only costs time; what was saved stays,
and the run goes on from it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import runs

from rethinker.runs.checkpoints import latest_checkpoint
from rethinker.runs.trackers import read_metrics

NEVER = "evaluation.every=0"
"""So that no step in between is the best, and saved."""


def mounted(*options: str, at: Path) -> None:
    subprocess.run(["mount", *options, str(at)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 50 MB: one checkpoint fits."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted("-t", "tmpfs", "-o", "size=50m", "none", at=folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_run_on_a_full_disk_keeps_its_checkpoint_and_goes_on_when_there_is_room(
    disk: Path, talker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe, run = runs.write_recipe(tmp_path, talker), disk / "run"
    runs.train(recipe, tmp_path / "unbroken", NEVER)
    capsys.readouterr()

    assert runs.rethinker("train", recipe, f"run.dir={run}", NEVER) == 1
    said = capsys.readouterr().err
    assert f"the checkpoint of step 6 could not be saved to {run / 'checkpoints'}: the disk is too full" in said
    assert f"the earlier checkpoints are untouched, the last is {run / 'checkpoints' / 'step-000003'}" in said

    mounted("-o", "remount,ro", at=disk)
    for arguments in (["--resume", run], [recipe, f"run.dir={disk / 'other'}"]):
        assert runs.rethinker("train", *arguments) == 1
        assert "Read-only file system" in capsys.readouterr().err

    mounted("-o", "remount,rw,size=400m", at=disk)
    assert runs.rethinker("train", "--resume", run) == 0
    runs.assert_same_run(run, tmp_path / "unbroken")


SLOW = """
import os
import time

from rethinker.cli import main

fsync = os.fsync

def slow(descriptor):
    \"\"\"As on a disk that is shared with others.\"\"\"
    time.sleep(0.2)
    fsync(descriptor)

os.fsync = slow
main()
"""


def test_a_save_to_a_slow_disk_is_finished_after_sigterm_and_its_time_is_told(
    talker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = runs.write_recipe(tmp_path, talker)
    runs.train(recipe, tmp_path / "unbroken")
    command = [sys.executable, "-c", SLOW, "train", str(recipe), "run.dir=run"]
    process = subprocess.Popen(command, cwd=tmp_path, env=runs.environment(), stderr=subprocess.PIPE, text=True)
    saving = tmp_path / "run" / "checkpoints"
    while process.poll() is None and not any(saving.glob("step-000003.tmp-*")):
        time.sleep(0.01)
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143, said
    assert latest_checkpoint(saving) == saving / "step-000003"
    *_, last = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert last["time/save"] > 1, "a checkpoint has more than five files"
    assert runs.rethinker("train", "--resume", tmp_path / "run") == 0
    runs.assert_same_run(tmp_path / "run", tmp_path / "unbroken")
