"""The ablation as a user runs it: four arms, two seeds, two at a time; small enough for a test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import runs

ARMS = ["GRPO", "GRPO-Filter", "GRPO-SSR", "SSR + Forced Rethinking"]
SIZE = ("train.steps=2", "evaluation.every=0", "evaluation.test_problems=2", "evaluation.validation_problems=2")
SECTIONS = ("rethink.share=0.5", "replay.alpha=2")
"""Keys that some arms' kinds do not have."""


@pytest.fixture(scope="module")
def place(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablate")
    runs.write_recipe(folder, talker)
    return folder


@pytest.fixture(autouse=True)
def _in_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHONPATH", runs.environment()["PYTHONPATH"])


@pytest.fixture(scope="module")
def results(place: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("PYTHONPATH", runs.environment()["PYTHONPATH"])
        assert ablate() == 0
    return place / "results"


def ablate(*overrides: str, seeds: int = 2, sections: tuple[str, ...] = SECTIONS) -> int:
    return runs.rethinker(
        "ablate", "recipe.yaml", *SIZE, *sections, *overrides, "--seeds", str(seeds), "--jobs", "2", "--to", "results"
    )


def test_every_arm_is_paired_by_seed_and_trained_from_the_same_start(results: Path) -> None:
    found = json.loads((results / "ablation.json").read_text())
    assert list(found["arms"]) == ARMS
    assert {len(figure["values"]) for arm in found["arms"].values() for figure in arm.values()} == {2}
    starts = {json.loads(file.read_text())["accuracy_before"] for file in results.glob("*/summary.json")}
    assert starts == {found["start"]}
    assert found["about"]["recipe"].startswith("recipe.yaml train.steps=2")


def test_the_arms_differ_in_replay_and_rethinking_alone(results: Path) -> None:
    import yaml

    resolved = [yaml.safe_load(file.read_text()) for file in sorted(results.glob("*-seed0/config.yaml"))]
    kinds = {(tree["replay"].pop("kind"), tree["rethink"].pop("kind")) for tree in resolved}
    assert kinds == {("none", "none"), ("filter", "none"), ("ssr", "none"), ("ssr", "forced")}
    for tree in resolved:
        tree.pop("run")
        tree.pop("replay")
        tree.pop("rethink")
    assert all(tree == resolved[0] for tree in resolved)


def test_an_override_reaches_the_arms_whose_kind_has_it(results: Path) -> None:
    import yaml

    trees = {file.stem: yaml.safe_load(file.read_text()) for file in results.glob("*-seed0.yaml")}
    assert len(trees) == 4
    assert {name: tree["replay"].get("alpha") for name, tree in trees.items() if "alpha" in tree["replay"]} == {
        "grpo-ssr-seed0": 2,
        "ssr-forced-rethinking-seed0": 2,
    }
    assert [tree["rethink"]["share"] for tree in trees.values() if tree["rethink"]["kind"] == "forced"] == [0.5]


def test_the_arms_did_what_they_are_named_for(results: Path) -> None:
    def rows(arm: str) -> list[dict[str, Any]]:
        return [row for seed in (0, 1) for row in runs.metrics(results / f"{arm}-seed{seed}")]

    grpo, filtered, ssr, forced = (rows(arm) for arm in ("grpo", "grpo-filter", "grpo-ssr", "ssr-forced-rethinking"))
    raw = runs.RECIPE["sampler"]["queries"] * runs.RECIPE["sampler"]["group_size"] // 2
    assert all(row["replay/batch"] == raw for row in grpo)
    assert all(row["replay/batch"] == pytest.approx(raw * row["replay/effective"]) for row in filtered)
    assert any(row["replay/batch"] < raw for row in filtered)
    assert all(row["replay/drawn"] == row["replay/size"] == 0 for row in grpo + filtered)
    for arm in (ssr, forced):
        assert sum(row["replay/drawn"] for row in arm) > 0
        assert all(row["replay/batch"] == raw for row in arm if row["replay/size"])
    assert [any(row.get("rethink/forced") for row in arm) for arm in (grpo, filtered, ssr, forced)] == [False] * 3 + [
        True
    ]
    assert any(row["policy/imitation_loss"] for row in forced)  # what was kept is imitated
    assert not any(row["policy/imitation_loss"] for row in grpo + filtered + ssr)


def test_a_page_and_a_picture_are_written(results: Path) -> None:
    page = (results / "ablation.md").read_text()
    assert all(f"| {arm} |" in page for arm in ARMS)
    assert "GRPO-SSR − GRPO-Filter" in page
    assert (results / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_finished_runs_are_not_repeated_and_a_broken_one_goes_on(results: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in results.glob("*/summary.json")}
    broken = results / "grpo-seed1"
    wanted = runs.metrics(broken)
    (broken / "summary.json").unlink()
    assert ablate() == 0
    after = {file: file.stat().st_mtime_ns for file in results.glob("*/summary.json")}
    assert [file for file in after if after[file] != before[file]] == [broken / "summary.json"]
    assert runs.metrics(broken) == wanted


def test_runs_of_another_configuration_are_refused(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ablate("learner.lr=1e-5") == 1
    said = capsys.readouterr().err
    assert "learner.lr=0.0003" in said
    assert "choose another --to" in said


def test_a_run_that_fails_is_named_with_its_last_words(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(results / "grpo-seed0")
    Path("looks.py").rename("hidden.py")
    try:
        assert ablate() == 1
    finally:
        Path("hidden.py").rename("looks.py")
    said = capsys.readouterr().err
    assert "grpo-seed0 ended with exit code 1" in said
    assert "looks" in said


def test_no_seeds_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ablate(seeds=0) == 1
    assert "--seeds=0" in capsys.readouterr().err


def test_a_recipe_that_forces_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ablate("rethink.kind=none", sections=()) == 1
    assert "two arms would be the same" in capsys.readouterr().err
