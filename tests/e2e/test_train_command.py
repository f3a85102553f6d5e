"""How `rethinker train` begins, goes on and ends, beside what it trains."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from tests.e2e import runs

from rethinker.train import Run

SHORT = ("train.steps=2", "evaluation.every=0", "evaluation.validation_problems=2", "evaluation.test_problems=2")


@pytest.fixture(scope="module")
def place(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    runs.write_recipe(folder, talker)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        runs.train(Path("recipe.yaml"), Path("~/2026"), *SHORT)
    return folder


@pytest.fixture(autouse=True)
def _in_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def test_a_tilde_is_the_home_folder(place: Path) -> None:
    assert (place / "2026" / "summary.json").is_file()
    assert not (place / "~").exists()


def test_an_extended_run_stopped_while_measuring_its_end_is_not_complete(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice_interrupted(run: Run) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_finish", twice_interrupted)
        assert runs.rethinker("train", "--resume", "2026", "train.steps=4") == 130
    said = capsys.readouterr().err
    assert "stopped at once: what was done since 2026/checkpoints/step-000004 was saved is lost" in said
    assert "rethinker train --resume 2026" in said
    assert not (place / "2026" / "summary.json").exists()
    assert runs.rethinker("train", "--resume", "2026") == 0
    assert json.loads((place / "2026" / "summary.json").read_text())["problems"] == 2


def test_a_start_that_fails_leaves_no_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for named in ("run.dir=named", "run.recipe=unnamed"):
        assert runs.rethinker("train", "recipe.yaml", "model.path=/nowhere", named) == 1
        assert "check model.path" in capsys.readouterr().err
    assert not (place / "named").exists()
    assert list((place / "runs").iterdir()) == []


def test_a_recipe_with_an_equals_sign_in_its_name_is_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("lr=1.yaml").write_text("learner: {lr: -1}\n")
    assert runs.rethinker("train", "recipe.yaml", "lr=1.yaml") == 1
    assert "learner.lr: got -1" in capsys.readouterr().err


def test_a_second_term_signal_stops_at_once_and_keeps_its_exit_code(place: Path) -> None:
    process = runs.spawn("train", "recipe.yaml", "run.dir=twice", *SHORT, folder=place, slow=5.0)
    assert process.stderr is not None
    while not (place / "twice" / "config.yaml").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    while "once more to stop at once" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 143
    assert "stopped at once: what was done since the start, as no checkpoint was saved yet, is lost" in said
    assert "rethinker train --resume twice" in said
    assert "Traceback" not in said
