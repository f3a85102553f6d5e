"""What a user gets wrong is said on stderr in one message, with the fix, and exit code 1; what is bad is counted."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from tests.e2e import runs

from rethinker.data.jsonl import JsonlSource
from rethinker.data.split import split
from rethinker.runs.lock import FolderLock

SHORT: dict[str, Any] = {
    "sampler": {"queries": 2, "group_size": 2, "first": {"max_tokens": 8}},
    "rethink": {"kind": "none"},
    "verifier": {"kind": "rules"},
    "train": {"steps": 1, "updates_per_episode": 1},
    "evaluation": {"every": 0, "max_tokens": 8},
    "trackers": {"tensorboard": False},
}


@pytest.fixture(autouse=True)
def _in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows(count: int, *, without_answer: Sequence[int] = ()) -> list[dict[str, Any]]:
    return [
        {"id": f"row{i}", "question": f"How many is {i} + 1?", "answer": "" if i in without_answer else str(i + 1)}
        for i in range(count)
    ]


def data_file(folder: Path, content: list[dict[str, Any]]) -> Path:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return path


def recipe_of(folder: Path, model: Path, data: Path, **sections: Any) -> Path:
    jsonl = {"kind": "jsonl", "path": str(data), "held_out": 0.3}
    return runs.write_recipe(folder, model, **(SHORT | {"data": jsonl} | sections))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run the command, which must fail; what it said."""
    assert runs.rethinker(*arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said
    return said


def quarantined(run: Path) -> dict[str, str]:
    lines = (run / "quarantine.jsonl").read_text().splitlines()
    return {row["id"]: row["reason"] for row in map(json.loads, lines)}


# ---- configuration and folders -----------------------------------------------------------------------------------


def test_an_unknown_key_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "train", "learner.learning_rat=1", "run.dir=run")
    assert "learner.learning_rat" in said
    assert "learner.l" in refused(capsys, "train", "learner.lrr=1", "run.dir=run").replace("learner.lrr", "")
    assert not Path("run").exists()


def test_an_impossible_combination_is_refused_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "train", "sampler.queries=4", "train.updates_per_episode=3", "run.dir=run")
    assert "sampler.queries=4 cannot be split into train.updates_per_episode=3" in said
    assert not Path("run").exists()


def test_a_recipe_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.yaml cannot be read" in refused(capsys, "train", "nowhere.yaml")


def test_a_run_folder_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "create its parent" in refused(capsys, "train", "run.dir=a/b/c")
    (tmp_path / "file").write_text("")
    assert "cannot make the run folder file" in refused(capsys, "train", "run.dir=file")
    assert "cannot make the run folder file/run" in refused(capsys, "train", "run.dir=file/run")


def test_a_run_folder_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    lock = FolderLock(run)
    assert "is in use by process" in refused(capsys, "train", f"run.dir={run}")
    (run / "config.yaml").write_text("{}\n")
    assert "is in use by process" in refused(capsys, "train", "--resume", run)
    lock.release()
    assert f"resume it with `rethinker train --resume {run}`" in refused(capsys, "train", f"run.dir={run}")


def test_a_folder_that_holds_no_run_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no run folder" in refused(capsys, "train", "--resume", tmp_path / "missing")
    assert "holds no run" in refused(capsys, "train", "--resume", tmp_path)


def test_a_resumed_run_takes_no_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "leave out other.yaml" in refused(capsys, "train", "other.yaml", "--resume", tmp_path)


def test_a_model_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_of(tmp_path, tmp_path / "no-model", data_file(tmp_path, rows(6)))
    assert "check model.path" in refused(capsys, "train", recipe, "run.dir=run")


# ---- data --------------------------------------------------------------------------------------------------------


def test_an_empty_data_set_is_refused(tmp_path: Path, talker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content in ("", "\n\n"):
        path = tmp_path / "data.jsonl"
        path.write_text(content)
        said = refused(capsys, "train", recipe_of(tmp_path, talker, path), f"run.dir=run{len(content)}")
        assert "data.jsonl is empty" in said
    said = refused(capsys, "train", recipe_of(tmp_path, talker, tmp_path / "missing.jsonl"), "run.dir=other")
    assert "missing.jsonl cannot be read" in said


def test_fewer_problems_than_queries_are_refused(
    tmp_path: Path, talker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_of(tmp_path, talker, data_file(tmp_path, rows(4)))
    said = refused(capsys, "train", recipe, "run.dir=run", "sampler.queries=8")
    assert "sampler.queries=8 different problems are needed" in said


def test_too_many_bad_rows_stop_the_run_and_are_written_down(
    tmp_path: Path, talker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_file(tmp_path, rows(200, without_answer=range(0, 200, 2)))
    said = refused(capsys, "train", recipe_of(tmp_path, talker, data), "run.dir=run", "data.held_out=0.4")
    assert "more than data.max_quarantined=0.05 allows" in said
    assert "column 'answer': expected text or a number, got nothing" in said
    found = quarantined(tmp_path / "run")
    assert 15 < len(found) < 50
    assert all(int(name.removeprefix("row")) % 2 == 0 for name in found)


def test_a_run_too_short_to_be_stopped_is_judged_at_its_end(
    tmp_path: Path, talker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_file(tmp_path, rows(20, without_answer=range(0, 20, 2)))
    said = refused(capsys, "train", recipe_of(tmp_path, talker, data), "run.dir=run")
    assert "rows read are bad, more than data.max_quarantined=0.05" in said
    assert Path("run/summary.json").is_file()


def test_few_bad_rows_read_often_do_not_stop_a_run(tmp_path: Path, talker: Path) -> None:
    content = rows(200)
    _, held_out = split(JsonlSource(data_file(tmp_path, content)), 0.3)
    _, test = split(held_out, 0.5, salt="test")
    for row in range(2):
        next(each for each in content if each["id"] == test.id(row))["answer"] = ""
    recipe = recipe_of(tmp_path, talker, data_file(tmp_path, content))
    runs.train(recipe, tmp_path / "run")
    assert len(quarantined(tmp_path / "run")) == 2


def test_bad_rows_are_set_aside_with_their_reasons_and_the_run_goes_on(
    tmp_path: Path, talker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "whole.png").write_bytes(_png(tmp_path))
    (tmp_path / "cut.png").write_bytes(_png(tmp_path)[:-40])
    PIL.Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    content = rows(20, without_answer=[3])
    for index, name in ((4, "cut.png"), (5, "huge.png"), (6, "missing.png"), (7, "whole.png")):
        content[index]["image"] = name
    recipe = recipe_of(tmp_path, talker, data_file(tmp_path, content), train={"steps": 5, "updates_per_episode": 1})
    runs.train(recipe, tmp_path / "run", "sampler.queries=4", "data.max_quarantined=0.2")
    said = capsys.readouterr().out
    assert f"4 rows set aside, see {tmp_path / 'run' / 'quarantine.jsonl'}" in said
    assert re.search(r"\d held-out problems, greedy", said)
    found = quarantined(tmp_path / "run")
    assert set(found) == {"row3", "row4", "row5", "row6"}
    assert found["row3"].endswith("data.jsonl, line 4: column 'answer': expected text or a number, got nothing")
    assert "cut.png" in found["row4"]
    assert "20000 x 20000 pixels, more than" in found["row5"]
    assert "missing.png" in found["row6"]
    assert runs.metrics(tmp_path / "run")[-1]["data/quarantined"] == 4
    assert (tmp_path / "run" / "summary.json").is_file()


def _png(folder: Path) -> bytes:
    path = folder / "drawn.png"
    PIL.Image.effect_noise((60, 60), 50).convert("RGB").save(path)
    return path.read_bytes()


# ---- verifiers ---------------------------------------------------------------------------------------------------


def python_verifier(folder: Path, model: Path, source: str, data: Path, **limits: float) -> Path:
    (folder / "mine.py").write_text(source)
    section = {"kind": "python", "function": "mine:score"} | limits
    return recipe_of(folder, model, data, verifier=section)


def test_a_verifier_that_cannot_be_imported_is_named(
    tmp_path: Path, talker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_of(
        tmp_path, talker, data_file(tmp_path, rows(6)), verifier={"kind": "python", "function": "nowhere:score"}
    )
    said = refused(capsys, "train", recipe, "run.dir=run")
    assert "verifier.function='nowhere:score' cannot be loaded" in said
    assert "No module named 'nowhere'" in said
    runs.train(
        recipe, tmp_path / "run", "verifier.function=looks:score"
    )  # what failed to start does not stand in the way


def test_a_verifier_that_accepts_anything_does_not_start(
    tmp_path: Path, talker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "def score(response, problem):\n    return True\n"
    recipe = python_verifier(tmp_path, talker, source, data_file(tmp_path, rows(6)))
    said = refused(capsys, "train", recipe, "run.dir=run")
    assert "preflight: a known wrong response counted as right" in said
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


WILD = '''
import pathlib
import time


def score(response, problem):
    """Right on held-out problems; of the training responses the first raises, the second hangs, the third eats."""
    if problem.category == "held out":
        return response == "\\\\boxed{" + problem.answer + "}"
    calls = pathlib.Path("calls")
    number = len(calls.read_text()) if calls.exists() else 0
    calls.write_text("x" * (number + 1))
    if number == 0:
        raise RuntimeError("no mood")
    if number == 1:
        time.sleep(1000)
    if number == 2:
        return len(bytearray(8_000_000_000))
    return 1.0
'''


def test_a_verifier_that_raises_hangs_and_eats_memory_is_counted_and_the_run_goes_on(
    tmp_path: Path, talker: Path
) -> None:
    data = data_file(tmp_path, rows(8))
    _, held_out = split(JsonlSource(data), 0.3)
    held = {held_out.id(index) for index in range(len(held_out))}
    data_file(tmp_path, [row | {"category": "held out" if row["id"] in held else "train"} for row in rows(8)])
    runs.train(python_verifier(tmp_path, talker, WILD, data, timeout_seconds=1.0), tmp_path / "run")
    (row,) = runs.metrics(tmp_path / "run")
    assert row["reward/error"] == 0.5  # two of four: raised, and out of memory
    assert row["reward/timeout"] == 0.25
    assert row["reward/mean"] == 0.25
    assert row["groups/mixed"] == 0.5


def test_a_run_goes_on_with_data_that_was_moved_and_not_with_other_data(
    talker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_file(tmp_path, rows(12))
    assert runs.rethinker("train", recipe_of(tmp_path, talker, data), "run.dir=run") == 0
    moved = tmp_path / "elsewhere" / data.name
    moved.parent.mkdir()
    data.rename(moved)
    more = ("train", "--resume", "run", f"data.path={moved}")
    assert runs.rethinker(*more, "train.steps=2") == 0
    data_file(moved.parent, rows(13))
    capsys.readouterr()
    said = refused(capsys, *more, "train.steps=3")
    assert "the data is not what the run has trained on so far: that was data.jsonl (" in said
    assert "rethinker export RUN" in said
