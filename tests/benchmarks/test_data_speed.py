"""The rows that `data_speed.py` makes are good ones, so that what it times is the whole way."""

from pathlib import Path

import pytest

from data_speed import write_rows
from rethinker.data.checking import check
from rethinker.data.virl import open_virl


def test_the_rows_made_are_good_distinct_and_in_virls_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_speed.IMAGE_FILES", 3)
    file = write_rows(tmp_path, 20)
    source = open_virl(file)
    report = check(source, workers=1)
    assert (report.rows, report.images, report.findings) == (20, 20, ())
    assert len({source.id(row) for row in range(20)}) == 20
    assert source[4].images[0].pixels.shape[1] == 600
    assert 0 < len(open_virl(file, subset="virl-32b")) < len(open_virl(file, subset="virl-7b")) < 20
