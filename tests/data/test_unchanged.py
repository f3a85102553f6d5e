"""A data file that is replaced, mended or taken away while it is read is never read as if it were the same."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rethinker.data.jsonl import JsonlSource
from rethinker.data.parquet import ParquetSource
from rethinker.data.rows import RowSource
from rethinker.data.unchanged import BLOCK_BYTES, BLOCKS, fingerprint
from rethinker.errors import DatasetError

ROWS = [{"id": f"r{n}", "question": f"How many is {n} + 1?", "answer": str(n + 1)} for n in range(4)]
OTHERS = [row | {"question": row["question"].replace("How many", "How much")} for row in ROWS]
"""As many bytes."""


def jsonl(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def parquet(path: Path, rows: list[dict[str, str]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)


@pytest.mark.parametrize(
    ("write", "opened"), [(jsonl, JsonlSource), (parquet, lambda path: ParquetSource([path]))], ids=["jsonl", "parquet"]
)
@pytest.mark.parametrize("how", ["in place", "another file", "gone"])
def test_a_file_that_changes_while_it_is_read_is_an_error_and_no_rows(
    tmp_path: Path,
    write: Callable[[Path, list[dict[str, str]]], None],
    opened: Callable[[Path], RowSource],
    how: str,
) -> None:
    path = tmp_path / "data"
    write(path, ROWS)
    os.utime(path, ns=(1, 1))
    source = opened(path)
    assert source.row(0).id == "r0"
    if how == "gone":
        path.unlink()
    elif how == "in place":
        write(path, OTHERS)
    else:
        write(tmp_path / "other", OTHERS)
        (tmp_path / "other").replace(path)
    with pytest.raises(DatasetError, match="cannot be read any more" if how == "gone" else "has changed since"):
        source.row(3)


def test_a_fingerprint_tells_contents_names_and_order_apart_and_not_folders_or_times(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name in ("one", "two"):
            (tmp_path / folder / name).write_text(f"{name}\n")
    os.utime(tmp_path / "b" / "one", ns=(1, 1))
    one, two = tmp_path / "a" / "one", tmp_path / "a" / "two"
    whole = fingerprint([one, two])
    assert whole == fingerprint([tmp_path / "b" / "one", tmp_path / "b" / "two"])
    assert "one, two (8 bytes, " in whole
    others = {fingerprint([two, one]), fingerprint([one]), fingerprint([one.rename(tmp_path / "a" / "three"), two])}
    assert len(others - {whole}) == 3


@pytest.mark.parametrize("size", [1, BLOCK_BYTES, BLOCKS * BLOCK_BYTES, BLOCKS * BLOCK_BYTES + 1, 10_000_000])
def test_a_fingerprint_sees_every_byte_of_a_small_file_and_the_ends_of_a_large_one(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    whole = fingerprint([path])
    for place in {0, size // 3, size - 1} if size <= BLOCKS * BLOCK_BYTES else {0, size - 1}:
        content = bytearray(size)
        content[place] = 1
        path.write_bytes(content)
        assert fingerprint([path]) != whole
    path.write_bytes(bytes(size + 1))
    assert fingerprint([path]) != whole
