"""What `rethinker warmup` and `rethinker gym` write, and what they say where they cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.runs import rethinker

from rethinker.commands import warmup
from rethinker.config_files import load_as
from rethinker.learner.warmup import WarmupPlan
from rethinker.models.tiny import TINY_FOLDER
from rethinker.models.vlm import VLM
from rethinker.warmup_config import WarmupConfig

RECIPE = Path(__file__).parents[2] / "recipes" / "warmup.yaml"


@pytest.fixture(autouse=True)
def _in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trained(tiny_vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> list[WarmupPlan]:
    """Training, left out; the plans asked for."""
    plans: list[WarmupPlan] = []
    monkeypatch.setattr(warmup, "_train", lambda plan: plans.append(plan) or tiny_vlm)
    return plans


def test_the_warm_start_goes_to_a_new_folder_and_the_shipped_one_stays(trained: list[WarmupPlan]) -> None:
    before = {path: path.stat().st_mtime_ns for path in TINY_FOLDER.iterdir()}
    assert rethinker("warmup", "seed=3") == 0
    assert trained[0].seed == 3
    assert Path("warm-start", "model.safetensors").is_file()
    assert [path.name for path in Path().iterdir()] == ["warm-start"]
    assert {path: path.stat().st_mtime_ns for path in TINY_FOLDER.iterdir()} == before


@pytest.mark.parametrize("target", ["full", "file", "a/b/c"])
def test_a_folder_that_cannot_be_written_is_found_before_training(
    target: str, trained: list[WarmupPlan], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("")
    Path("file").write_text("")
    assert rethinker("warmup", "--to", target) == 1
    assert f"{target}" in capsys.readouterr().err
    assert trained == []
    assert sorted(path.name for path in Path().iterdir()) == ["file", "full"]


def test_measure_takes_settings_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    measure: Callable[..., None] = lambda model, files, overrides: asked.append((model, files, overrides))  # noqa: E731
    monkeypatch.setattr(warmup, "measure", measure)
    assert rethinker("warmup", "--measure", "seed=1") == 0
    assert rethinker("warmup", "--measure", "--model", "mine") == 0
    assert asked == [("tiny", [], ["seed=1"]), ("mine", [], [])]


def test_the_defaults_are_what_the_recipe_spells_out() -> None:
    assert load_as(WarmupConfig, [RECIPE]) == WarmupConfig()


def test_a_preview_that_cannot_be_written_says_where_and_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rethinker.data.gym.preview.FAMILIES", {})
    Path("folder").mkdir()
    for target, reason in (("folder", "Is a directory"), ("/proc/x.png", "")):
        assert rethinker("gym", "preview", "--to", target) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"error: cannot write {target}: {reason}")
