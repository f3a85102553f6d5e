"""Ours equal the official verdicts, row for row and cell for cell, on every file of real predictions given."""

from collections.abc import Callable, Iterator

import pytest
from scripts.parity import ASSETS, GivenFile, compare
from scripts.parity.catalogue import GIVEN
from scripts.write_parity_docs import PAGE, departures, row

from rethinker.cores import usable_cores
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.scoring import RowScorer

FILES = [pytest.param(file, id=f"{name}-{file.name}") for name, files in GIVEN.items() for file in files()]

pytestmark = pytest.mark.skipif(not ASSETS.is_dir(), reason=f"the given predictions are not here: {ASSETS}")


@pytest.fixture(scope="module")
def scorer_of() -> Iterator[Callable[[Rule], RowScorer]]:
    """One set of workers for a rule, which remembers what it has read."""
    made: dict[Rule, RowScorer] = {}

    def scorer(rule: Rule) -> RowScorer:
        if rule not in made:
            made[rule] = RowScorer(rule, workers=usable_cores())
        return made[rule]

    yield scorer
    for each in made.values():
        each.__exit__()


@pytest.mark.parametrize("file", FILES)
def test_every_row_and_every_cell_is_the_official_one(file: GivenFile, scorer_of: Callable[[Rule], RowScorer]) -> None:
    found = compare(file, scorer_of(file.rule))
    assert found.rows == len(file.verdicts())
    assert found.differing == ()
    assert found.differing_cells == ()
    assert found.differing_published == ()
    assert row(file, found) in PAGE.read_text(encoding="utf-8"), "run `python -m scripts.write_parity_docs`"


@pytest.mark.parametrize("file", FILES)
def test_every_departure_of_a_published_file_is_one_and_is_told(file: GivenFile) -> None:
    official, page = file.verdicts(), PAGE.read_text(encoding="utf-8")
    assert [name for name, (flag, _) in file.departures.items() if official[name].correct is flag] == []
    assert [line for line in departures(file) if line not in page] == []
