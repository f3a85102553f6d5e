from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.making_images import png

from rethinker.data.opening import open_source
from rethinker.data.virl import open_virl
from rethinker.errors import DataError, DatasetError


def row(number: int, **columns: Any) -> dict[str, Any]:
    return {
        "question": f"<image>\nHow many in {number}?",
        "answer": f"\\boxed{{{number}}}",
        "PassRate_32BTrained": 0.5,
        "PassRate_7BBase": 0.5,
        "category": "Charts",
        "source": "a set",
        "qid": f"set-{number}",
        "image": ["images/a.png"],
        **columns,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(png(7))
    rows = [
        row(0),
        row(1, question="How many?"),
        row(2, question="What is $1+1$?", image=[], PassRate_7BBase=-1.0),
        row(3, image=[]),
        row(4, question="<image> or <image>?", image=["images/a.png"] * 2, PassRate_7BBase=0.0),
        row(5, question="<image>?", image=["images/a.png"] * 2),
        row(6, answer="\\boxed{A}", question="<image>Which? (A) x (B) y", PassRate_7BBase=1.0, PassRate_32BTrained=1.0),
        row(7, PassRate_32BTrained=-1.0),
        row(8, PassRate_32BTrained=0.0, PassRate_7BBase=0.125),
        row(9, image=["images/none.png"]),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "39Krelease.parquet", row_group_size=4)
    return tmp_path


def test_boxed_answers_marks_and_columns_are_read(folder: Path) -> None:
    source = open_virl(folder / "39Krelease.parquet")
    problem = source[0]
    assert (problem.id, problem.answer, problem.category, problem.source) == ("set-0", "0", "Charts", "a set")
    assert problem.images[0].pixels[0, 0].tolist() == [7, 7, 7]
    assert len(source[4].images) == 2
    assert (source[6].verifier, source[6].choices) == ("choice", ("x", "y"))


def test_a_missing_mark_is_put_first(folder: Path) -> None:
    assert open_virl(folder)[1].question == "<image>How many?"


def test_a_row_without_image_is_text_alone(folder: Path) -> None:
    problem = open_virl(folder)[2]
    assert (problem.images, problem.question) == ((), "What is $1+1$?")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (3, "row 3: column 'question': 0 images but 1 <image> marks"),
        (5, "row 5: column 'question': 2 images but 1 <image> marks"),
        (9, r"row 9: column 'image.0.': image .*none\.png cannot be opened"),
    ],
)
def test_a_mark_without_its_image_is_refused_with_file_and_row(folder: Path, number: int, message: str) -> None:
    source = open_virl(folder)
    for read in (source.__getitem__, source.outline):
        with pytest.raises(DataError, match=rf"39Krelease\.parquet, {message}"):
            read(number)


def test_the_named_subsets_go_by_pass_rate_and_leave_out_the_unknown(folder: Path) -> None:
    def kept(subset: str) -> list[str]:
        source = open_virl(folder, subset=subset)
        return [source.id(i) for i in range(len(source))]

    assert kept("none") == [f"set-{i}" for i in range(10)]
    assert kept("virl-7b") == [f"set-{i}" for i in (0, 1, 3, 5, 6, 7, 8, 9)]
    assert kept("virl-32b") == [f"set-{i}" for i in (0, 1, 2, 3, 4, 5, 9)]


def test_a_subset_that_cannot_be_had_is_a_dataset_error(tmp_path: Path) -> None:
    rows = [{key: value for key, value in row(0).items() if key != "PassRate_7BBase"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    with pytest.raises(
        DatasetError, match=r"a\.parquet: no row is in data\.subset=virl-7b: none has a pass rate above 0"
    ):
        open_virl(tmp_path / "a.parquet", subset="virl-7b")
    pq.write_table(pa.Table.from_pylist([row(0, PassRate_7BBase="high")]), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match="column 'PassRate_7BBase': expected values of type double"):
        open_virl(tmp_path / "a.parquet", subset="virl-7b")


def test_the_images_may_lie_elsewhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = tmp_path_factory.mktemp("parquet") / "rows.parquet"
    (folder / "39Krelease.parquet").rename(moved)
    assert len(open_virl(moved, images=folder)[0].images) == 1
    with pytest.raises(DataError, match="cannot be opened"):
        open_virl(moved)[0]


def test_the_commands_open_it_without_being_told_its_kind(folder: Path) -> None:
    for path in (folder, folder / "39Krelease.parquet"):
        source = open_source(path)
        assert (len(source), source.id(0), source[0].answer) == (10, "set-0", "0")
    with pytest.raises(DatasetError, match=r"is no data file: expected \.jsonl, \.parquet, or LogicVista's"):
        open_source(folder / "images" / "a.png")
