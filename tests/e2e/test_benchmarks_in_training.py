"""Benchmarks asked in the middle of training, on the weights of the moment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.e2e import runs
from tests.evaluation import hub_folders

from rethinker.config_files import load

EVALUATION = runs.RECIPE["evaluation"] | {"benchmarks": ["mathvision", "emma"], "data": "data", "limit": 3}
PROMPT = {"kind": "plain", "max_tokens": 512}


@pytest.fixture
def place(talker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("mathvision", "emma"):
        getattr(hub_folders, name)(tmp_path / "data" / name)
    runs.write_recipe(
        tmp_path,
        talker,
        prompt=PROMPT,
        evaluation=EVALUATION,
        checkpoints={"every": 2, "keep": 1, "best": "eval/emma/accuracy"},
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_asks_its_benchmarks_at_every_validation(place: Path) -> None:
    runs.train(place / "recipe.yaml", place / "run")
    rows = {row["step"]: row for row in runs.metrics(place / "run")}
    for step in (2, 4, 6):
        for name in ("mathvision", "emma"):
            written = json.loads((place / "run" / "benchmarks" / f"step-{step:06d}" / name / "result.json").read_text())
            assert rows[step][f"eval/{name}/accuracy"] == written["accuracy"]
            low, high = rows[step][f"eval/{name}/accuracy_low"], rows[step][f"eval/{name}/accuracy_high"]
            assert low <= written["accuracy"] <= high
            assert rows[step][f"eval/{name}/rethinking"] == written["rethinking"]["ratio"]
            assert written["counts"]["questions"] == 3
            assert written["settings"]["model"]["weights"] == f"step {step}"
    assert not any("eval/emma/accuracy" in rows[step] for step in (1, 3, 5))
    kept = {int(folder.name.removeprefix("step-")) for folder in (place / "run" / "checkpoints").glob("step-*")}
    best = max((2, 4, 6), key=lambda step: (rows[step]["eval/emma/accuracy"], -step))
    assert kept == {best, 6}


def test_a_resumed_run_asks_again_what_came_after_its_checkpoint(place: Path) -> None:
    runs.train(place / "recipe.yaml", place / "run")
    whole = (place / "run" / "benchmarks" / "step-000006" / "emma" / "answers.jsonl").read_bytes()
    shutil.rmtree(place / "run" / "checkpoints" / "step-000006")
    stale = place / "run" / "benchmarks" / "step-000006" / "emma" / "answers.jsonl"
    stale.write_text('{"of": "other weights"}\n')
    assert runs.rethinker("train", "--resume", place / "run") == 0
    assert stale.read_bytes() == whole


def test_a_best_that_nothing_measures_is_refused(place: Path) -> None:
    with pytest.raises(Exception, match=r"checkpoints\.best=eval/mmmu/accuracy is not measured; take one of eval/acc"):
        load([place / "recipe.yaml"], ["checkpoints.best=eval/mmmu/accuracy"])


def test_a_benchmark_that_is_not_there_ends_the_run_before_it_starts(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(place / "data" / "emma")
    assert runs.rethinker("train", place / "recipe.yaml", f"run.dir={place / 'run'}") == 1
    assert "data/emma is missing: emma is read from this folder" in capsys.readouterr().err
