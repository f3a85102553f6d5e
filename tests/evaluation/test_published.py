"""Published files: JSON, JSON lines, gzip and parquet with images that stay where they are."""

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rethinker.errors import DatasetError
from rethinker.evaluation.published import published_rows

ROWS = [{"id": "a", "text": "x"}, {"id": "b", "text": "y"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.json", json.dumps(ROWS).encode()),
        ("rows.json", json.dumps({"k": ROWS[0], "l": ROWS[1]}).encode()),
        ("rows.jsonl", "\n".join(map(json.dumps, ROWS)).encode()),
        ("rows.jsonl.gz", gzip.compress("\n\n".join(map(json.dumps, ROWS)).encode(), mtime=0)),
        ("rows.json.gz", gzip.compress(b"\xef\xbb\xbf" + json.dumps(ROWS).encode(), mtime=0)),
    ],
)
def test_json_in_every_shape(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert [row.fields for row in published_rows(tmp_path / name, needs=["id"])] == ROWS


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("rows.json", b"[", "cannot be read"),
        ("rows.jsonl", b"[1]", "not an object"),
        ("rows.jsonl", b"", "no questions"),
        ("rows.csv", b"a,b", "no file of questions"),
        ("rows.jsonl.gz", b"plain", "cannot be read"),
        ("rows.parquet", b"plain", "cannot be read"),
        ("rows.json", b'[{"id": "a", "other": 1}]', "lacks the column text .*another benchmark"),
    ],
)
def test_what_is_no_file_of_questions_is_refused(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=complaint):
        published_rows(tmp_path / name, needs=["id", "text"])


def png(colour: int) -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", (28, 28), (colour, 0, 0)).save(packed, "PNG")
    return packed.getvalue()


def test_parquet_images_are_found_but_not_read(tmp_path: Path) -> None:
    for shard in range(2):
        images = [None if row == 1 else {"bytes": png(10 * shard + row), "path": f"{row}.png"} for row in range(3)]
        table = pa.table({"id": [f"{shard}{row}" for row in range(3)], "text": ["?"] * 3, "image_1": images})
        pq.write_table(table, tmp_path / f"test-0000{shard}.parquet", row_group_size=2)
    rows = published_rows(tmp_path, needs=["id", "image_1"])
    assert [row.fields["id"] for row in rows] == ["00", "01", "02", "10", "11", "12"]
    assert rows[0].fields["image_1"] == {"path": "0.png"}
    assert rows[1].images("image_1") == ()
    assert [int(rows[place].images("image_1")[0].decode().pixels[0, 0, 0]) for place in (0, 2, 3, 5)] == [0, 2, 10, 12]
