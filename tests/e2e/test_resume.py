"""A run that was stopped, however it was stopped, ends as the one that was not: to the byte."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e import runs

from rethinker.runs.rollouts import read_rollouts
from rethinker.runs.trackers import read_metrics

PATIENCE = 900.0
"""Seconds before a run that hangs is given up; nothing here depends on how fast the machine is."""

CARRIED = (
    "train.updates_per_episode=1",
    "replay.lifetime=2",
    "sampler.kind=dynamic",
    "sampler.max_rounds=2",
    "sampler.group_size=2",
)
"""One update per episode, a buffer that outlives the sync, and rounds until enough groups are mixed."""


@pytest.fixture(scope="module")
def place(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    runs.write_recipe(folder, talker)
    return folder


@pytest.fixture(autouse=True)
def _in_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def unbroken(place: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        runs.train(place / "recipe.yaml", place / "unbroken")
    return place / "unbroken"


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the run did not get there"
        time.sleep(0.01)


def kill_after_step_3(place: Path, run: Path, *overrides: str, moment: float) -> None:
    process = runs.spawn("train", "recipe.yaml", f"run.dir={run}", *overrides, folder=place, slow=0.03)
    wait_for(lambda: (run / "checkpoints" / "step-000003").is_dir(), process)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"


def stop(place: Path, run: Path, number: signal.Signals, reached: Callable[[], bool]) -> subprocess.Popen[str]:
    process = runs.spawn("train", "recipe.yaml", f"run.dir={run}", folder=place, slow=0.03)
    wait_for(reached, process)
    process.send_signal(number)
    return process


def test_the_run_is_worth_stopping(unbroken: Path) -> None:
    """Mixed groups, kept second looks, redraws and moving weights, or the equalities below would say little."""
    rows = runs.metrics(unbroken)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["episode"] for row in rows] == [0, 0, 1, 1, 2, 2]
    assert [row["policy_version"] for row in rows] == [0, 0, 1, 1, 2, 2]
    assert ["groups/mixed" in row for row in rows] == [True, False] * 3
    assert sum(row.get("groups/mixed", 0) for row in rows) > 0
    assert sum(row.get("rethink/kept", 0) for row in rows) > 0
    assert sum(row["replay/drawn"] for row in rows) > 0
    assert sum(row["policy/skipped"] for row in rows) < 3
    assert rows[2]["replay/size"] > 0  # what the checkpoint of step 3 must hold
    assert max(row["policy/engine_gap_max"] for row in rows) < 1e-4
    spans = [row["forced_span"] for path in unbroken.glob("rollouts/*.gz") for row in read_rollouts(path)]
    assert any(spans)
    assert runs.weights(unbroken, 3) != runs.weights(unbroken, 6)


def test_every_metric_of_a_run_is_explained(place: Path) -> None:
    """Under dynamic sampling and a KL, which have metrics of their own."""
    runs.train(place / "recipe.yaml", place / "named", *CARRIED, "objective.kl_coefficient=0.01", "train.steps=2")
    logged = {name for row in read_metrics(place / "named" / "metrics.jsonl") for name in row}
    assert {"sampler/rounds", "policy/kl", "eval/timeout", "rethink/forced"} <= logged
    page = (Path(__file__).parents[2] / "docs" / "run-folder.md").read_text()
    explained = set(re.findall(r"`([\w/]+)`", page))
    binned = {re.sub(r"(magnitude_\w+)/.*", r"\1/B", name) for name in logged}
    assert binned - explained == set()


def test_the_same_seed_is_the_same_run(place: Path, unbroken: Path) -> None:
    runs.train(place / "recipe.yaml", place / "again")
    runs.assert_same_run(place / "again", unbroken)


@pytest.mark.parametrize("overrides", [(), CARRIED], ids=["mid-episode", "between episodes"])
def test_3_steps_a_kill_and_3_more_equal_6(place: Path, unbroken: Path, overrides: tuple[str, ...]) -> None:
    run, whole = place / f"killed-{len(overrides)}", unbroken
    if overrides:
        whole = place / "carried"
        runs.train(place / "recipe.yaml", whole, *overrides)
        assert any(row["replay/age_mean"] for row in runs.metrics(whole))
    kill_after_step_3(place, run, *overrides, moment=random.Random(str(overrides)).uniform(0, 0.8))
    assert not (run / "summary.json").exists()
    assert runs.rethinker("train", "--resume", run) == 0
    runs.assert_same_run(run, whole)


def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(place: Path, unbroken: Path) -> None:
    run = place / "interrupted"
    process = stop(place, run, signal.SIGINT, (run / "metrics.jsonl").exists)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    steps = len(runs.metrics(run))
    assert 1 <= steps < 6
    assert f"stopped at step {steps}, saved to" in said
    assert f"rethinker train --resume {run}" in said
    assert "Traceback" not in said
    assert runs.rethinker("train", "--resume", run) == 0
    runs.assert_same_run(run, unbroken)


def test_a_term_signal_before_the_first_step_is_saved_too(place: Path, unbroken: Path) -> None:
    run = place / "terminated"
    process = stop(place, run, signal.SIGTERM, (run / "checkpoints").is_dir)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, said
    assert "stopped at step 0" in said
    assert runs.rethinker("train", "--resume", run) == 0
    runs.assert_same_run(run, unbroken)


def test_a_machine_that_is_taken_away_in_a_long_step_loses_that_step_alone(place: Path, unbroken: Path) -> None:
    """Its SIGTERM comes half a minute before its SIGKILL; verdicts of 3 s each make the episode longer than that."""
    run = place / "taken"
    shutil.copytree(unbroken, run, ignore=shutil.ignore_patterns("step-000006", "summary.json"))
    process = runs.spawn("train", "--resume", run, folder=place, slow=3)  # its third step's episode is made already
    wait_for(lambda: len(runs.metrics(run)) == 4, process)
    time.sleep(random.Random(run.name).uniform(0, 3))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143, said
    assert "leaving the episode that is being made" in said
    assert "stopped at step 4, saved to" in said
    assert runs.rethinker("train", "--resume", run) == 0
    runs.assert_same_run(run, unbroken)


def test_a_run_killed_before_its_first_checkpoint_begins_again(place: Path, unbroken: Path) -> None:
    run = place / "early"
    shutil.copytree(unbroken, run, ignore=shutil.ignore_patterns("step-*", "summary.json"))
    assert runs.rethinker("train", "--resume", run) == 0
    runs.assert_same_run(run, unbroken)


def test_a_run_killed_before_its_summary_is_finished_and_not_trained_on(place: Path, unbroken: Path) -> None:
    run = place / "unfinished"
    shutil.copytree(unbroken, run, ignore=shutil.ignore_patterns("summary.json", "report.html"))
    assert runs.rethinker("train", "--resume", run) == 0
    runs.assert_same_run(run, unbroken)
    assert (run / "report.html").is_file()


def test_a_complete_run_is_not_resumed_unless_it_shall_go_further(
    place: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place / "further"
    shutil.copytree(unbroken, run)
    assert runs.rethinker("train", "--resume", run) == 1
    assert "is complete: its last checkpoint is step 6 of train.steps=6" in capsys.readouterr().err
    assert runs.rethinker("train", "--resume", run, "train.steps=7") == 1
    assert "take 6 or 8" in capsys.readouterr().err
    assert runs.rethinker("train", "--resume", run, "train.steps=8") == 0
    assert [row["step"] for row in runs.metrics(run)] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert runs.metrics(run)[:6] == runs.metrics(unbroken)
    assert runs.rethinker("train", "--resume", run) == 1  # the run's own configuration has moved on with it
    assert "train.steps=8" in capsys.readouterr().err


def test_a_checkpoint_of_another_configuration_is_refused(
    place: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place / "other"
    shutil.copytree(unbroken, run)
    for override, named in (("seed=1", "seed is 0 there and 1 here"), ("learner.lr=1e-4", "learner.lr is 0.0003")):
        assert runs.rethinker("train", "--resume", run, override) == 1
        said = capsys.readouterr().err
        assert "made with another configuration" in said
        assert named in said
    assert runs.metrics(run) == runs.metrics(unbroken)
