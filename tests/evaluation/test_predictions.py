"""Files of predictions: what cannot be scored is counted with its line, and never scored."""

import gzip
from pathlib import Path

import pytest
from asking import question, write_lines

from rethinker.errors import DatasetError
from rethinker.evaluation.predictions import Fault, read_predictions

QUESTIONS = [question("1"), question("2"), question("3")]


def test_every_fault_is_counted_with_its_line(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "response": "60"},
        "not JSON\n",
        {"id": "9", "response": "60"},
        "\n",
        {"id": 2, "response": "5"},
        {"id": "1", "response": "61"},
        {"id": "3"},
        "[1]\n",
        {"id": "3", "response": None},
        {"id": True, "response": "x"},
    ]
    read = read_predictions(write_lines(tmp_path / "p.jsonl", rows), QUESTIONS)
    assert read.responses == {"1": "60", "2": "5"}
    found = {fault: [row.line for row in rows] for fault, rows in read.faults.items()}
    assert found == {
        Fault.MALFORMED: [2, 7, 8, 9, 10],
        Fault.UNKNOWN: [3],
        Fault.DUPLICATE: [6],
        Fault.MISSING: [None],
    }
    assert "'3'" in read.faults[Fault.MISSING][0].what
    assert not read.whole


def test_a_whole_file_is_whole_and_may_be_gzipped(tmp_path: Path) -> None:
    plain = write_lines(tmp_path / "p.jsonl", [{"id": each.id, "response": "é"} for each in QUESTIONS])
    packed = tmp_path / "p.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        assert read_predictions(path, QUESTIONS).whole


def test_bytes_that_are_no_text_are_malformed(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "1", "response": "1"}\n{"id": "2", "response": "\xff"}\n' + b"[" * 100_000)
    read = read_predictions(path, QUESTIONS)
    assert read.responses == {"1": "1"}
    assert [row.line for row in read.faults[Fault.MALFORMED]] == [2, 3]


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.jsonl").write_bytes(content)
    with pytest.raises(DatasetError, match="empty"):
        read_predictions(tmp_path / "p.jsonl", QUESTIONS)


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "1", "response": "1"}\n' * 50)[:-12])
    with pytest.raises(DatasetError, match="cannot be read"):
        read_predictions(path, QUESTIONS)
