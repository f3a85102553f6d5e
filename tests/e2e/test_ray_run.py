"""Runs in a real Ray whose processes are really killed, at random moments whose seeds are printed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e import runs

from rethinker.runs.rollouts import read_rollouts

pytest.importorskip("ray", reason="Ray is not installed")

pytestmark = pytest.mark.cluster

PATIENCE = 600.0

RAY = (
    "cluster.kind=ray",
    "cluster.ranks=2",
    "pipeline.staleness=1",
    "learner.behaviour_logprobs=learner",
    "cluster.patience_seconds=60",
    "evaluation.every=0",
)
"""A learner in two processes, its engine apart and an episode ahead."""


MARK = "canary"
SECRETS = ("HF_TOKEN", "WANDB_API_KEY", "RETHINKER_TOKEN", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def place(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    runs.write_recipe(folder, talker, checkpoints={"every": 1, "keep": 9})
    return folder


@pytest.fixture(scope="module")
def rays_own() -> Iterator[Path]:
    """Where Ray keeps its logs: not below the tests' folder, whose name is too long for its sockets."""
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def undisturbed(place: Path, rays_own: Path) -> Path:
    with pytest.MonkeyPatch.context() as environment:
        for name in SECRETS:
            environment.setenv(name, f"{MARK}-of-{name}")
        environment.setenv("RAY_TMPDIR", str(rays_own))
        process = train(place, "undisturbed", slow=0.0)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output + errors
    assert MARK not in output + errors
    return place / "undisturbed"


def train(place: Path, name: str, *overrides: str, slow: float = 0.05) -> subprocess.Popen[str]:
    return runs.spawn("train", "recipe.yaml", f"run.dir={place / name}", *RAY, *overrides, folder=place, slow=slow)


def when(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the run did not get there"
        time.sleep(0.02)


def steps(run: Path) -> int:
    file = run / "metrics.jsonl"
    return file.read_text().count("\n") if file.exists() else 0


def actor(process: subprocess.Popen[str], name: str) -> psutil.Process:
    """The process on a seat."""
    found = [child for child in psutil.Process(process.pid).children(recursive=True) if sits_on(child, name)]
    assert found, f"nobody sits on {name}"
    return found[-1]


def sits_on(child: psutil.Process, name: str) -> bool:
    try:
        return f"ray::{name}" in " ".join(child.cmdline())
    except psutil.Error:  # of an attempt that is over
        return False


def moment(seed: int | None = None) -> float:
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    seconds = random.Random(seed).uniform(0, 1.5)
    sys.stdout.write(f"seed {seed}: {seconds:.2f} seconds after the step\n")
    return seconds


def said(run: Path) -> dict[tuple[str, str, int], Any]:
    """Every response by step, problem and sample."""
    found: dict[tuple[str, str, int], Any] = {}
    for path in sorted(run.glob("rollouts/*.gz")):
        for row in read_rollouts(path):
            key = path.name, row["problem_id"], row["sample"]
            assert key not in found, "a response stands twice"
            found[key] = row["response"]
    return found


def finished(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output + errors
    return output


def test_a_run_in_ray_does_what_a_run_in_one_process_does(place: Path, undisturbed: Path) -> None:
    """Until the first sync, after which it samples with an older policy."""
    local = runs.spawn("train", "recipe.yaml", f"run.dir={place / 'local'}", "evaluation.every=0", folder=place)
    finished(local)
    here, there = runs.metrics(place / "local"), runs.metrics(undisturbed)
    assert len(there) == 6
    for name in ("reward/mean", "tokens/generated", "policy/loss", "policy/grad_norm", "rethink/kept", "replay/size"):
        assert there[0][name] == pytest.approx(here[0][name], rel=1e-4, abs=1e-6), name
    assert [row["pipeline/staleness"] for row in there if "pipeline/staleness" in row] == [0, 1, 1]
    assert max(row["policy/engine_gap_max"] for row in there) < 1e-4
    assert max(row["behaviour/moved"] for row in there if row.get("behaviour/moved") is not None) > 0


def test_neither_the_run_nor_ray_keeps_a_secret_of_the_environment(undisturbed: Path, rays_own: Path) -> None:
    logs = [path for path in rays_own.rglob("*") if path.is_file()]
    assert any(path.name.startswith("raylet") for path in logs)
    told = [path for path in (*logs, *undisturbed.rglob("*")) if path.is_file() and MARK.encode() in path.read_bytes()]
    assert told == []


def test_an_engine_killed_at_any_moment_loses_nothing(place: Path, undisturbed: Path) -> None:
    process = train(place, "engines")
    for step in (1, 3):
        when(process, lambda step=step: steps(place / "engines") >= step)  # type: ignore[misc]
        time.sleep(moment())
        actor(process, "engine_0").kill()
    output = finished(process)
    assert "restart" not in output  # of the run: the engine alone began again
    found, wanted = said(place / "engines"), said(undisturbed)
    assert found.keys() == wanted.keys()
    same = sum(found[key] == wanted[key] for key in wanted)
    assert same >= 0.95 * len(wanted)  # in another batch a log-prob may differ in its last digit


def test_a_learner_killed_or_hung_goes_back_to_the_last_checkpoint(place: Path, undisturbed: Path) -> None:
    process = train(place, "learners", "cluster.patience_seconds=20")
    when(process, lambda: steps(place / "learners") >= 2)
    time.sleep(moment())
    actor(process, "learner_rank_1").kill()
    when(process, lambda: steps(place / "learners") >= 4)
    actor(process, "learner_rank_0").send_signal(signal.SIGSTOP)
    output = finished(process)
    assert "going on from the last checkpoint, restart 1 of at most 3" in output
    assert "going on from the last checkpoint, restart 2 of at most 3" in output
    runs.assert_same_run(place / "learners", undisturbed)


def test_a_driver_that_is_killed_resumes(place: Path, undisturbed: Path) -> None:
    process = train(place, "driver")
    when(process, lambda: steps(place / "driver") >= 3)
    time.sleep(moment())
    actors = [actor(process, name) for name in ("learner_rank_0", "engine_0")]
    process.kill()
    process.communicate(timeout=PATIENCE)
    psutil.wait_procs(actors, timeout=PATIENCE)  # nobody is left behind
    assert not any(one.is_running() for one in actors)
    finished(runs.spawn("train", "--resume", place / "driver", folder=place))
    runs.assert_same_run(place / "driver", undisturbed)


def test_a_restart_beyond_the_limit_says_what_was_lost(place: Path) -> None:
    process = train(place, "limit", "cluster.max_restarts=0")
    when(process, lambda: steps(place / "limit") >= 1)
    actor(process, "learner_rank_0").kill()
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "learner rank 0 is gone" in errors.replace("\n", " ")


def test_ctrl_c_ends_after_a_saved_step_and_leaves_nobody_behind(place: Path) -> None:
    process = train(place, "stopped")
    when(process, lambda: steps(place / "stopped") >= 1)
    everybody = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output + errors
    assert "finishing the step" in errors
    _, alive = psutil.wait_procs(everybody, timeout=60)
    assert alive == []
