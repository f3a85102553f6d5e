"""Ours equal the official verdicts, row for row and cell for cell, on every file of real predictions given."""

import pytest
from scripts.parity import ASSETS, GivenFile, compare
from scripts.parity.catalogue import GIVEN

from rethinker.cores import usable_cores

FILES = [pytest.param(file, id=f"{name}-{file.name}") for name, files in GIVEN.items() for file in files()]


@pytest.mark.skipif(not ASSETS.is_dir(), reason=f"the given predictions are not here: {ASSETS}")
@pytest.mark.parametrize("file", FILES)
def test_every_row_and_every_cell_is_the_official_one(file: GivenFile) -> None:
    found = compare(file, workers=usable_cores())
    assert found.rows == len(file.verdicts())
    assert found.differing == ()
    assert found.differing_cells == ()
    assert found.differing_published == ()


@pytest.mark.skipif(not ASSETS.is_dir(), reason=f"the given predictions are not here: {ASSETS}")
@pytest.mark.parametrize("file", FILES)
def test_every_departure_of_a_published_file_really_is_one(file: GivenFile) -> None:
    official = file.verdicts()
    assert [name for name, (flag, _) in file.departures.items() if official[name].correct is flag] == []
