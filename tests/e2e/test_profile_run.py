"""`rethinker train … profile=true`, as a person would."""

from __future__ import annotations

import json
import signal
import time
from html import escape
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import runs

from rethinker.runs.stretches import STRETCHES
from rethinker.runs.trackers import read_metrics

SHORT = (
    "profile=true",
    "train.steps=3",
    "train.updates_per_episode=1",
    "learner.behaviour_logprobs=learner",
    "evaluation.every=1",
    "evaluation.validation_problems=2",
    "evaluation.test_problems=2",
    "checkpoints.every=1",
)


@pytest.fixture(scope="module")
def run(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profile")
    runs.write_recipe(folder, talker)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        runs.train(Path("recipe.yaml"), Path("run"), *SHORT)
    return folder / "run"


@pytest.fixture(scope="module")
def profile(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "profile.json").read_text())
    return found


def test_every_stretch_takes_time_and_the_shares_add_up(profile: dict[str, Any]) -> None:
    for period in ("whole", "typical", "steady"):
        spent = profile[period]["stretches"]
        assert list(spent) == [stretch.name for stretch in STRETCHES]
        assert sum(each["share"] for each in spent.values()) == pytest.approx(1.0)
    assert all(each["seconds"] > 0 for each in profile["whole"]["stretches"].values())
    assert profile["whole"]["stretches"]["other"]["share"] < 0.1


def test_each_step_adds_up_to_its_seconds(profile: dict[str, Any]) -> None:
    assert [step["step"] for step in profile["steps"]] == [1, 2, 3]
    for step in profile["steps"]:
        assert sum(step["stretches"].values()) == pytest.approx(step["seconds"])


def test_tokens_of_the_profile_are_those_of_the_metrics(run: Path, profile: dict[str, Any]) -> None:
    decode = profile["whole"]["stretches"]["decode"]
    generated = sum(row["tokens/generated"] for row in read_metrics(run / "metrics.jsonl"))
    assert 3 * decode["seconds"] * decode["tokens_per_second"] == pytest.approx(generated)
    assert profile["overlapped"]["verify"] > 0
    assert 0 <= profile["padding"] < 1
    assert profile["operations_per_second"] > 0
    assert profile["mfu"] is None


def test_page_and_trace_stand_beside_it(run: Path, profile: dict[str, Any]) -> None:
    page = (run / "profile.html").read_text()
    assert escape(profile["next_second"][0]) in page
    spans = [event for event in json.loads((run / "trace.json").read_text())["traceEvents"] if event["ph"] == "X"]
    assert {"step 1", "step 3", "prefill", "decode", "forward", "backward", "optimiser"} <= {e["name"] for e in spans}
    assert all(event["ts"] >= 0 and event["dur"] >= 0 for event in spans)


def test_a_run_that_is_not_profiled_writes_none_of_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    runs.train(Path("recipe.yaml"), Path("plain"), *SHORT, "profile=false")
    assert not {"profile.html", "profile.json", "trace.json"} & {path.name for path in (run.parent / "plain").iterdir()}
    assert runs.metrics(run.parent / "plain") == runs.metrics(run)


def test_what_was_measured_survives_ctrl_c(run: Path) -> None:
    place = run.parent
    long = ("train.steps=500", "evaluation.every=0")
    process = runs.spawn("train", "recipe.yaml", "run.dir=cut", *SHORT, *long, folder=place)
    while len(list((place / "cut" / "checkpoints").glob("step-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == 130
    cut = json.loads((place / "cut" / "profile.json").read_text())
    assert [step["step"] for step in cut["steps"]][:2] == [1, 2]
    assert (place / "cut" / "profile.html").exists()
