from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.making_images import png
from tests.data.virl_rows import write_virl

from rethinker.data import tables
from rethinker.data.logicvista import FIXTURES
from rethinker.data.opening import open_source
from rethinker.data.tables import Table, open_table
from rethinker.errors import DatasetError

LINES = (
    b'\xef\xbb\xbf{"question": "a?", "answer": 1.50, "own": {"deep": [1]}}\r\n\r\n'
    b'{"answer": 2, "question": "\xc3\xa9?"}\nnot json\n{"question": "c?", "answer": "3"}'
)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_bytes(LINES)
    return tmp_path / "rows.jsonl"


def written(table: Table, rows: list[int], **added: list[float]) -> bytes:
    file = io.BytesIO()
    table.write(file, rows, added=added or None)
    return file.getvalue()


def test_lines_are_copied_byte_for_byte(lines: Path) -> None:
    table = open_table(lines)
    assert len(table) == len(open_source(lines)) == 4
    assert table.columns == ("question", "answer", "own")
    assert table.column("answer") == [1.5, 2, None, "3"]
    assert written(table, [0, 1]) == b'{"question": "a?", "answer": 1.50, "own": {"deep": [1]}}\n' + (
        b'{"answer": 2, "question": "\xc3\xa9?"}\n'
    )


def test_a_column_is_added_to_every_line_that_is_an_object(lines: Path) -> None:
    new = written(open_table(lines), [0, 2, 3], rate=[0.5, 9.0, -1.0, 1.0]).splitlines()
    assert [json.loads(new[0])["rate"], new[1], json.loads(new[2])["rate"]] == [0.5, b"not json", 1.0]
    assert json.loads(new[0])["own"] == {"deep": [1]}


def test_parquet_keeps_its_columns_types_and_images(tmp_path: Path) -> None:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [("images", pa.list_(image)), ("problem", pa.string()), ("answer", pa.string()), ("grade", pa.int8())],
        metadata={
            b"huggingface": json.dumps({"info": {"features": {"grade": {"dtype": "int8", "_type": "Value"}}}}).encode()
        },
    )
    rows = [
        {"images": [{"bytes": png(shade), "path": None}], "problem": "?", "answer": str(shade), "grade": shade}
        for shade in range(100)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "rows.parquet", row_group_size=7)
    new = pq.read_table(io.BytesIO(written(open_table(tmp_path / "rows.parquet"), [3, 64, 99])))
    assert new.schema.equals(pq.read_schema(tmp_path / "rows.parquet"), check_metadata=True)
    assert new.to_pylist() == [rows[3], rows[64], rows[99]]
    rated = pq.read_table(io.BytesIO(written(open_table(tmp_path / "rows.parquet"), [3, 99], rate=list(range(100)))))
    assert rated.column("rate").to_pylist() == [3.0, 99.0]
    assert "rate" in json.loads(rated.schema.metadata[b"huggingface"])["info"]["features"]


def test_parquet_rows_are_gathered_into_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"answer": list(range(500))}), tmp_path / "rows.parquet")
    table = open_table(tmp_path / "rows.parquet")
    whole = pq.ParquetFile(io.BytesIO(written(table, list(range(500)))))
    assert (whole.num_row_groups, whole.metadata.num_rows) == (1, 500)
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 1000)
    many = pq.ParquetFile(io.BytesIO(written(table, list(range(500)))))
    assert many.num_row_groups > 2
    assert many.read().column("answer").to_pylist() == list(range(500))


def test_shards_are_one_table_in_the_readers_order(tmp_path: Path) -> None:
    columns = {"question": ["?", "??"], "answer": ["1", "2"]}
    for number in (1, 0):
        pq.write_table(pa.table({**columns, "n": [number, number]}), tmp_path / f"train-0000{number}.parquet")
    table = open_table(tmp_path)
    assert (len(table), table.column("n")) == (4, [0, 0, 1, 1])
    assert len(open_source(tmp_path)) == 4
    pq.write_table(pa.table(columns), tmp_path / "train-00002.parquet")
    with pytest.raises(DatasetError, match="has other columns than"):
        open_table(tmp_path)


def test_logicvistas_file_stays_what_it_is(tmp_path: Path) -> None:
    table = open_table(FIXTURES)
    stored = json.loads(FIXTURES.read_text(encoding="utf-8"))
    rated = json.loads(written(table, [1, 3], rate=[0.25] * len(table)))
    assert list(rated) == [list(stored)[1], list(stored)[3]]
    assert [row.pop("rate") for row in rated.values()] == [0.25, 0.25]
    assert rated == {name: stored[name] for name in rated}


def test_an_unknown_column_is_answered_with_the_nearest(tmp_path: Path) -> None:
    table = open_table(write_virl(tmp_path))
    with pytest.raises(DatasetError, match="no column 'PassRate_7B'; did you mean 'PassRate_7BBase'"):
        table.column("PassRate_7B")


def test_the_digest_is_of_the_content(lines: Path) -> None:
    before = open_table(lines).digest()
    copy = lines.with_name("copy.jsonl")
    copy.write_bytes(LINES)
    assert open_table(copy).digest() == before
    copy.write_bytes(LINES + b" ")
    assert open_table(copy).digest() != before


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", b"\n\n", "is empty"),
        ("a.json", b"{}", "at least one row"),
        ("a.json", b"{", "cannot be read"),
        ("a.parquet", b"PAR1 but not really PAR1", "cannot be read|no parquet"),
        ("a.csv", b"a,b\n", "is no data file"),
    ],
)
def test_a_file_that_holds_no_rows_is_refused(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=complaint):
        open_table(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.json", "a.parquet"):
        with pytest.raises(DatasetError, match="cannot be read"):
            open_table(tmp_path / name)


def test_a_line_beyond_all_measure_is_refused_by_its_number_and_never_held(
    lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 60)
    with pytest.raises(DatasetError, match=r"rows.jsonl cannot be read: line 1 is longer than 60 bytes"):
        open_table(lines)
