"""Parquet files: damaged ones, and types that are not expected, of a training reader and of a benchmark's."""

import datetime
import io

import pyarrow as pa
import pyarrow.parquet as pq

from fuzz.fenced import FOLDER
from fuzz.targets.pictures import SEEDS as PICTURES
from rethinker.data.parquet import ParquetSource
from rethinker.data.tables import open_table
from rethinker.errors import DataError, DatasetError
from rethinker.evaluation.published import published_rows


def _file(compression: str = "none", **columns: object) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written, compression=compression)
    return written.getvalue()


SEEDS = (
    _file(problem=["q<image>"], answer=["1"], images=[[{"bytes": PICTURES[0], "path": None}]]),
    _file("snappy", question=["a", None], answer=[1.5, 2.0], id=["x", "x"]),
    _file("zstd", question=["a"], answer=[datetime.datetime(2020, 1, 1)], image=["../secret.png"]),
    _file(question=pa.array([b"\xff"]).cast(pa.binary()), answer=pa.array([2**40], pa.timestamp("s"))),
    _file(question=pa.DictionaryArray.from_arrays([0, 0], ["long"]), answer=[{"a": 1}, {"a": 2}]),
    _file(question=pa.array([b"\xff\xfe"], pa.binary()).view(pa.string()), answer=["1"]),
)


def check(data: bytes) -> None:
    path = FOLDER / "rows.parquet"
    path.write_bytes(data)
    try:
        source = ParquetSource([path], max_pixels=10_000, row_group_bytes=1_000_000)
    except DatasetError:
        source = None
    for index in range(min(len(source), 4) if source else 0):
        try:
            assert source.id(index)
            source.outline(index)
            assert source[index].id == source.id(index)
        except DataError:
            continue
    try:
        table = open_table(path)
        table.write(io.BytesIO(), range(min(2, len(table))))
    except DatasetError:
        pass
    try:
        published_rows(path, needs=["answer"])
    except DatasetError:
        return
