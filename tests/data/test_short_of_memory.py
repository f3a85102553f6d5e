"""A row whose picture finds no memory or file handle is not a bad row: the reader stops, and goes on from there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from rethinker.data.opening import open_source
from rethinker.errors import OutOfMemoryError

SCRIPT = """
import resource
import sys
from pathlib import Path

from rethinker.data.opening import open_source
from rethinker.data.quarantine import Quarantine
from rethinker.data.stream import ProblemStream
from rethinker.errors import DatasetError, OutOfMemoryError

quarantine = Quarantine(max_share=1.0)
stream = ProblemStream(open_source(Path(sys.argv[1])), seed=0, quarantine=quarantine, threads=2)
start = stream.state_dict()
stream.take(4)  # which starts the threads
kind, more = getattr(resource, sys.argv[2]), int(sys.argv[3])
if sys.argv[2] == "RLIMIT_AS":
    more += int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(kind, (more, resource.getrlimit(kind)[1]))
try:
    stream.take(4)
except (DatasetError, OutOfMemoryError) as error:
    print(type(error).__name__, error)
resource.setrlimit(kind, (resource.getrlimit(kind)[1],) * 2)
stream.load_state_dict(start)
print(len(stream.take(4)), "read", len(quarantine), "bad")
"""

ROWS = 5

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits a process as Linux does")


def write(folder: Path, kind: str) -> None:
    """60 MB decoded."""
    Pillow.new("RGB", (5000, 4000), "white").save(folder / f"image.{kind}")


def read(data: Path, limit: str, amount: int) -> list[str]:
    command = [sys.executable, "-c", SCRIPT, str(data), limit, str(amount)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_picture_without_memory_stops_the_reader_and_sets_no_row_aside(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind)
    rows = [{"id": f"r{n}", "image": f"image.{kind}", "question": "?", "answer": "1"} for n in range(ROWS)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said, after = read(tmp_path / "rows.jsonl", "RLIMIT_AS", 2**23)
    assert said.startswith("OutOfMemoryError")
    assert f"image.{kind} was read" in said
    assert "data.image_bytes" in said
    assert after == "4 read 0 bad"


def test_a_row_group_without_memory_is_no_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.Table.from_pylist([{"question": "?", "answer": "1"}]), tmp_path / "rows.parquet")
    source = open_source(tmp_path / "rows.parquet")

    def starved(*_: object, **__: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 256 failed")

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", starved)
    with pytest.raises(OutOfMemoryError, match="while row group 0 of "):
        source[0]


def test_too_many_open_files_stop_the_reader_and_set_no_row_aside(tmp_path: Path) -> None:
    write(tmp_path, "png")
    rows = [{"id": f"r{n}", "image": "image.png", "question": "?", "answer": "1"} for n in range(ROWS)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    said, after = read(tmp_path / "rows.parquet", "RLIMIT_NOFILE", 3)
    assert said.startswith("DatasetError")
    assert "ulimit -n" in said
    assert after == "4 read 0 bad"
