"""The tiny VLM on real pictures, through the whole path. It learns nothing from them; nothing may break."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from tests.e2e import runs

from rethinker.data.logicvista import LogicVistaSource
from rethinker.data.split import split
from rethinker.errors import DataError
from rethinker.interfaces import ProblemSource
from rethinker.runs.rollouts import read_rollouts

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "logicvista.yaml"
WHOLE = ROOT.parent / "shared" / "assets" / "image_fixtures" / "logicvista161" / "dataset.json"


def seen(run: Path) -> set[str]:
    return {row["problem_id"] for path in run.glob("rollouts/*.gz") for row in read_rollouts(path)}


def readable(source: ProblemSource) -> set[str]:
    found = set()
    for index in range(len(source)):
        with contextlib.suppress(DataError):
            found.add(source[index].id)
    return found


def test_the_recipe_runs_on_the_shipped_problems(talker: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    runs.train(RECIPE, run, f"model.path={talker}", "device=cpu", "threads=1")
    rows = runs.metrics(run)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["tokens/prompt"] > 20
    assert all(row["data/quarantined"] == 0 for row in rows)
    assert not (run / "quarantine.jsonl").exists()
    pictures = {path.stem for path in (run / "rollouts" / "images").glob("*.png")}
    shown = {name for path in run.glob("rollouts/*.gz") for row in read_rollouts(path) for name in row["image_ids"]}
    assert shown == pictures
    assert len(seen(run)) == len(shown) >= 4
    assert (run / "report.html").is_file()


@pytest.mark.skipif(not WHOLE.is_file(), reason="needs shared/assets/image_fixtures/logicvista161 beside the checkout")
def test_all_161_are_used_but_the_one_that_is_empty(talker: Path, tmp_path: Path) -> None:
    train, held_out = split(LogicVistaSource(WHOLE), 0.25)
    assert len(train) + len(held_out) == 161
    run = tmp_path / "run"
    runs.train(
        RECIPE,
        run,
        f"model.path={talker}",
        "device=cpu",
        "threads=1",
        f"data.path={WHOLE}",
        f"sampler.queries={-(-len(train) // 3)}",
        "sampler.group_size=2",
        "sampler.first.max_tokens=4",
        "rethink.second_look.max_tokens=4",
        "evaluation.max_tokens=4",
        "evaluation.every=0",
        "train.steps=3",
        "train.updates_per_episode=1",
    )
    (bad,) = map(json.loads, (run / "quarantine.jsonl").read_text().splitlines())
    assert bad["id"] == "v1_382"  # it has neither question nor answer
    assert bad["reason"].endswith("dataset.json, row v1_382: column 'question': expected text or a number, got nothing")
    answered = readable(held_out)
    assert len(seen(run) | answered) == 160
    assert bad["id"] not in seen(run) | answered
    assert runs.metrics(run)[-1]["data/quarantined"] == 1
