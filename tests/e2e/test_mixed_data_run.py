"""Whole runs on a mixture of data sets: a folder of images with parquet, parquet with images in it, and the gym."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.making_images import png
from tests.e2e import runs

from rethinker.runs.rollouts import read_rollouts

QUESTION = "How many?"


def data(folder: Path) -> dict[str, Any]:
    """Rows of three kinds in two files; every third has no image, one is too long and one names a URL."""
    (folder / "images").mkdir()
    for shade in range(12):
        (folder / "images" / f"{shade}.png").write_bytes(png(20 * shade, height=56, width=56 + 28 * (shade % 3)))
    virl = [
        {
            "qid": f"v{i}",
            "question": QUESTION if i % 3 == 0 else f"<image>{QUESTION}",
            "answer": f"\\boxed{{{i % 10}}}",
            "image": [] if i % 3 == 0 else [f"images/{i % 12}.png"],
            "PassRate_7BBase": -1.0 if i == 5 else 0.5,
        }
        for i in range(24)
    ]
    virl[7]["question"] = f"<image>{QUESTION} " + "and " * 400
    virl[8]["image"] = ["https://example.org/8.png"]
    pq.write_table(pa.Table.from_pylist(virl), folder / "virl.parquet", row_group_size=5)
    embedded = [
        {"problem": f"<image>{QUESTION}", "answer": str(i), "images": [{"bytes": png(25 * i, height=56, width=84)}]}
        for i in range(10)
    ]
    pq.write_table(pa.Table.from_pylist(embedded), folder / "embedded.parquet", row_group_size=3)
    some_bad = {"max_quarantined": 0.2}
    drawn = some_bad | {"kind": "virl", "path": str(folder / "virl.parquet"), "subset": "virl-7b"}
    given = some_bad | {"kind": "parquet", "path": str(folder / "embedded.parquet"), "threads": 0}
    return {
        "kind": "mixture",
        "parts": [
            {"weight": 3.0, "data": drawn},
            {"weight": 1.0, "data": given},
            {"weight": 1.0, "data": {"kind": "gym"}},
        ],
    }


@pytest.fixture(scope="module")
def unbroken(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    runs.write_recipe(
        folder,
        talker,
        data=data(folder),
        prompt={"max_tokens": 200},
        train={"steps": 4, "updates_per_episode": 1},
        checkpoints={"every": 2, "keep": 9},
        sampler={"queries": 8, "group_size": 2, "first": {"max_tokens": 8}},
        verifier={"kind": "rules"},
        rethink={"kind": "none"},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        runs.train(folder / "recipe.yaml", folder / "unbroken")
    return folder / "unbroken"


def test_every_part_is_trained_on_and_bad_rows_are_set_aside(unbroken: Path) -> None:
    rows = [row for path in unbroken.glob("rollouts/*.gz") for row in read_rollouts(path)]
    seen = {row["problem_id"] for row in rows}
    assert {name.split("/")[0].split("-")[0] for name in seen} >= {"virl", "parquet"}
    assert any(name.startswith("virl-0/v") for name in seen)
    assert any(name.startswith("parquet-1/embedded-") for name in seen)
    assert any("/" not in name or not name.startswith(("virl-0/", "parquet-1/")) for name in seen)
    assert {bool(row["image_ids"]) for row in rows} == {True, False}
    assert "virl-0/v5" not in seen
    lines = (unbroken / "quarantine.jsonl").read_text().splitlines()
    reasons = {row["id"]: row["reason"] for row in map(json.loads, lines)}
    assert set(reasons) <= {"virl-0/v7", "virl-0/v8"}
    assert reasons
    assert all("more than prompt.max_tokens=200" in reasons[name] or "is a URL" in reasons[name] for name in reasons)


def test_a_resumed_run_is_the_same_to_the_byte(unbroken: Path) -> None:
    resumed = unbroken.parent / "resumed"
    shutil.copytree(unbroken, resumed)
    for later in ("checkpoints/step-000004", "summary.json"):
        path = resumed / later
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(unbroken.parent)
        assert runs.rethinker("train", "--resume", resumed) == 0
    assert runs.metrics(resumed) == runs.metrics(unbroken)
    assert runs.rollouts(resumed) == runs.rollouts(unbroken)
    assert runs.weights(resumed, step=4) == runs.weights(unbroken, step=4)
