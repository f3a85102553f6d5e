"""Data sets that lie about their size, or hold what Python has no value for."""

import datetime
import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rethinker.data.encoded import image_file
from rethinker.data.parquet import ParquetSource
from rethinker.data.tables import open_table
from rethinker.errors import DataError, DatasetError, ImageError
from rethinker.evaluation.predictions import read_predictions
from rethinker.evaluation.published import published_rows
from rethinker.evaluation.results import read_results


def written(tmp_path: Path, **columns: Any) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd", store_schema=False)
    return path


def test_one_long_text_a_thousand_times_is_not_held(tmp_path: Path) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), ["x" * 200_000])
    path = written(tmp_path, question=words, answer=["1"] * 2000)
    assert path.stat().st_size < 1_000_000
    source = ParquetSource([path], row_group_bytes=50_000_000)
    with pytest.raises(DataError, match="unpacks to more than"):
        source[0]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**40], pa.timestamp("s")),
        pa.array([2**30], pa.date32()),
        pa.array([b"\xff\xfe"], pa.binary()).view(pa.string()),
    ],
)
def test_a_value_that_python_has_not_is_the_rows_fault(tmp_path: Path, column: pa.Array) -> None:
    path = written(tmp_path, question=["q"], answer=column)
    with pytest.raises(DataError, match="column 'answer': its value cannot be read"):
        ParquetSource([path])[0]
    with pytest.raises(DatasetError, match="cannot be read"):
        published_rows(path, needs=["answer"])


def test_ids_that_are_no_text_are_the_files_fault(tmp_path: Path) -> None:
    path = written(tmp_path, question=["q"], answer=["1"], id=pa.array([b"\xff"], pa.binary()).view(pa.string()))
    with pytest.raises(DatasetError, match="column 'id'"):
        ParquetSource([path])


def test_a_date_far_away_leaves_a_table_that_can_be_copied(tmp_path: Path) -> None:
    path = written(tmp_path, question=["q"], when=pa.array([datetime.date(2020, 1, 1)]))
    copied = io.BytesIO()
    open_table(path).write(copied, [0])
    assert copied.getvalue()[:4] == b"PAR1"


def test_a_damaged_gzip_is_named(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"id": "a", "response": "1", "score": 1}\n' * 50, mtime=0)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(packed[:14] + b"\xff\xff\xff" + packed[17:])
    for read in (
        lambda: published_rows(path, needs=["id"]),
        lambda: read_predictions(path, []),
        lambda: read_results(path),
    ):
        with pytest.raises(DatasetError, match="cannot be read"):
            read()


@pytest.mark.parametrize("content", ["3", "null", '"text"'])
def test_json_that_is_no_list_of_questions_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.json").write_text(content)
    with pytest.raises(DatasetError, match=r"cannot be read|holds no questions|not an object"):
        published_rows(tmp_path / "rows.json", needs=["id"])


def test_an_image_path_stays_in_its_folder_whatever_it_says(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"x")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to("..")
    for name in ("../secret.png", "/etc/passwd", "sub/../../secret.png", "link.png", "up/secret.png", "..\\secret.png",
                 "file:///etc/passwd", "http://a/b.png", "\0", "", "."):  # fmt: skip
        with pytest.raises(ImageError):
            image_file(folder, name, column="image")
    assert image_file(folder, "sub/../a.png", column="image").path == folder / "a.png"
