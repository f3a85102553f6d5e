from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.making_images import png

from rethinker.data.columns import Columns
from rethinker.data.parquet import ParquetSource, shards
from rethinker.data.row_groups import RowGroups
from rethinker.errors import DataError, DatasetError

Rows = list[dict[str, Any]]


def write(path: Path, rows: Rows, schema: pa.Schema | None = None, *, group: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=group)
    return path


def source(folder: Path, rows: Rows, **options: Any) -> ParquetSource:
    return ParquetSource([write(folder / "rows.parquet", rows)], **options)


def embedded(shade: int) -> dict[str, Any]:
    return {"bytes": png(shade), "path": f"{shade}.png"}


def geometry(count: int, first: int = 0) -> Rows:
    """Rows as geometry3k has them."""
    return [
        {"images": [embedded(i % 250)], "problem": f"<image>Find x in {i}.", "answer": str(i)}
        for i in range(first, first + count)
    ]


# ---- schemas -----------------------------------------------------------------------------------------------------


def test_rows_of_geometry3ks_schema_become_problems(tmp_path: Path) -> None:
    read = source(tmp_path, geometry(3))
    problem = read[2]
    assert (len(read), problem.id, read.id(2)) == (3, "rows-2", "rows-2")
    assert (problem.question, problem.answer, problem.verifier) == ("<image>Find x in 2.", "2", "number")
    assert problem.images[0].pixels[0, 0].tolist() == [2, 2, 2]
    assert problem.source == "rows.parquet"
    assert read.outline(2).image_sizes == ((30, 40),)


@pytest.mark.parametrize(
    ("column", "value", "images"),
    [
        ("image", embedded(1), 1),
        ("image", png(1), 1),
        ("images", [png(1), png(2)], 2),
        ("images", [embedded(1), embedded(2)], 2),
        ("images", [{"bytes": None, "path": "a.png"}, embedded(2)], 2),
        ("images", ["a.png"], 1),
        ("image", "a.png", 1),
        ("images", [], 0),
        ("image", None, 0),
    ],
)
def test_images_may_be_stored_in_any_usual_way(tmp_path: Path, column: str, value: object, images: int) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    rows = [{column: value, "question": "How many?", "answer": 3}]
    problem = source(tmp_path, rows)[0]
    assert len(problem.images) == images
    assert problem.question == "<image>" * images + "How many?"
    assert [image.pixels[0, 0, 0] for image in problem.images] == [1, 2][:images]


def test_columns_of_other_names_are_named(tmp_path: Path) -> None:
    row = {"frage": "Which?", "loesung": "red", "bild": png(1), "options": ["red", "blue"], "nr": 7}
    columns = Columns(question=("frage",), answer=("loesung",), images=("bild",), choices=("options",), id=("nr",))
    problem = source(tmp_path, [row], columns=columns)[0]
    assert (problem.id, problem.answer, problem.choices) == ("7", "A", ("red", "blue"))
    assert problem.question == "<image>Which?\n(A) red\n(B) blue"


def test_category_and_source_are_kept(tmp_path: Path) -> None:
    row = {"id": "a", "question": "?", "answer": "1", "category": "charts", "source": "a book"}
    problem = source(tmp_path, [row])[0]
    assert (problem.category, problem.source) == ("charts", "a book")


# ---- what is wrong is said with file, row, column and what was expected ------------------------------------------


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answer": None}, r"rows\.parquet, row 1: column 'answer': expected text or a number, got nothing"),
        ({"question": " "}, r"row 1: column 'question' or 'problem': expected text or a number, got nothing"),
        ({"question": "<image>?"}, r"row 1: column 'question': 0 images but 1 <image> marks"),
        ({"images": [b"<svg/>"]}, r"row 1: column 'images\[0\]': the image is in no format that is read"),
        ({"images": [png(1)[:-30]]}, r"row 1: column 'images\[0\]': the image is damaged or truncated"),
        ({"id": "a"}, r"row 1: .*'a' stands in .*rows\.parquet, row 0 already; ids must be unique"),
    ],
)
def test_a_bad_row_is_a_data_error_and_its_neighbours_load(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    good = {"id": "a", "question": "?", "answer": "1", "images": [png(1)]}
    bad = {**good, "id": "b", "images": [], **row}
    read = source(tmp_path, [good, bad, {**good, "id": "c"}])
    assert [read[0].id, read[2].id] == ["a", "c"]
    with pytest.raises(DataError, match=message):
        read[1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": [1, 2], "answer": "1"}], r"row 0: column 'question': expected text or a number, got \[1, 2\]"),
        ([{"question": "?", "answer": {"x": b"1"}}], r"column 'answer': expected text or a number, got \{.x.: .bytes"),
        ([{"question": "?", "answer": float("nan")}], "column 'answer': expected text or a number, got NaN"),
        ([{"question": "?", "answer": float("-inf")}], "column 'answer': expected text or a number, got -Infinity"),
        ([{"question": "?", "answer": "1", "image": 3}], r"column 'image': expected an image .*, got int"),
        ([{"question": "?", "answer": "1", "image": "http://a/b.png"}], "is a URL; nothing is fetched"),
        ([{"question": "?", "answer": "1", "image": "../a.png"}], "does not lie in"),
    ],
)
def test_a_column_of_the_wrong_type_is_named(tmp_path: Path, rows: Rows, message: str) -> None:
    with pytest.raises(DataError, match=message):
        source(tmp_path, rows)[0]


@pytest.mark.parametrize(
    ("row", "columns", "message"),
    [
        ({"prompt": "?", "answer": 1}, Columns(), r"no column 'question' or 'problem', .* it has prompt, answer: name"),
        ({"question": "?", "solution": 1}, Columns(), r"name the right one in data\.columns\.answer"),
        ({"question": "?", "answer": 1}, Columns(images=("pictures",)), r"no column 'pictures', expected to hold the"),
    ],
)
def test_a_missing_column_is_said_at_once(tmp_path: Path, row: dict[str, Any], columns: Columns, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        source(tmp_path, [row], columns=columns)


def test_what_is_no_parquet_is_a_dataset_error(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("PAR1 not at all")
    (tmp_path / "empty.parquet").write_bytes(b"")
    for name in ("text.parquet", "empty.parquet"):
        with pytest.raises(DatasetError, match=rf"{name}.*(is no parquet file|cannot be read)"):
            ParquetSource([tmp_path / name])
    with pytest.raises(DatasetError, match=r"none\.parquet cannot be read"):
        ParquetSource([tmp_path / "none.parquet"])
    schema = pa.schema({"question": pa.string(), "answer": pa.string()})
    with pytest.raises(DatasetError, match="no rows"):
        ParquetSource([write(tmp_path / "rows.parquet", [], schema)])


def test_a_damaged_row_group_spoils_its_own_rows_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", geometry(40), group=10)
    chunk = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = chunk.data_page_offset
    data[start : start + 200] = bytes(200)
    path.write_bytes(data)
    read = ParquetSource([path])
    assert read[5].answer == "5"
    assert read[35].answer == "35"
    with pytest.raises(DataError, match=r"rows\.parquet, row 15: row group 1 cannot be read"):
        read[15]


# ---- shards ------------------------------------------------------------------------------------------------------


def test_shards_follow_one_another_and_rows_are_named_after_theirs(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "data" / f"train-0000{number}-of-00003.parquet", geometry(5, first=5 * number), group=2)
    read = ParquetSource(shards(tmp_path))
    assert [read[i].answer for i in range(15)] == [str(i) for i in range(15)]
    assert read.id(7) == "train-00001-of-00003-2"
    assert read.where(14).endswith("train-00002-of-00003.parquet, row 4")


def test_shards_of_several_splits_have_to_be_chosen_from(tmp_path: Path) -> None:
    for name in ("data/train-00000-of-00001", "data/test-00000-of-00001", "validation/0000"):
        write(tmp_path / f"{name}.parquet", geometry(1))
    with pytest.raises(DatasetError, match=r"several splits: test, train, validation; choose with data\.split"):
        shards(tmp_path)
    assert [file.name for file in shards(tmp_path, split="train")] == ["train-00000-of-00001.parquet"]
    assert [file.parent.name for file in shards(tmp_path, split="validation")] == ["validation"]
    with pytest.raises(DatasetError, match="no parquet file of the split 'dev'"):
        shards(tmp_path, split="dev")
    with pytest.raises(DatasetError, match="no such file or folder"):
        shards(tmp_path / "none")


# ---- memory ------------------------------------------------------------------------------------------------------


def test_row_groups_stay_within_their_bound_whatever_is_read(tmp_path: Path) -> None:
    rows = [{"question": str(i), "answer": "1", "image": bytes([i]) * 10_000} for i in range(60)]
    files = [write(tmp_path / "a.parquet", rows[:30], group=5), write(tmp_path / "b.parquet", rows[30:], group=5)]
    groups = RowGroups(files, {"question", "image"}, memory_bytes=160_000)
    with ThreadPoolExecutor(4) as pool:
        order = [(i * 17) % 60 for i in range(240)]
        for row, fields in zip(order, pool.map(groups.fields, order)):
            assert fields == {"question": str(row), "image": bytes([row]) * 10_000}
            assert groups.bytes_held <= 160_000


def test_a_row_group_beyond_the_bound_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", geometry(100))
    with pytest.raises(DatasetError, match=r"row group 0 holds \d+ bytes, .*row_group_bytes=1000; .*row_group_size"):
        ParquetSource([path], row_group_bytes=1000)


def test_a_repeated_id_names_its_own_column(tmp_path: Path) -> None:
    read = source(tmp_path, [{"qid": "a", "question": "?", "answer": "1"}] * 2)
    with pytest.raises(DataError, match="row 1: column 'qid': 'a' stands in"):
        read[1]


def test_ids_that_are_no_text_are_refused_and_empty_ones_are_given(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="column 'id': expected values of type string"):
        source(tmp_path, [{"id": {"a": 1}, "question": "?", "answer": "1"}])
    rows = [{"id": name, "question": "?", "answer": "1"} for name in ("a", "", None)]
    read = source(tmp_path, rows)
    assert [read.id(i) for i in range(3)] == ["a", "rows-1", "rows-2"]
