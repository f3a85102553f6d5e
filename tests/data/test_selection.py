from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.virl_rows import RATES, virl_row, write_virl

from rethinker.data.selection import among, between, drawn, in_subset, narrow, without
from rethinker.data.tables import Table, open_table
from rethinker.data.virl import SUBSETS, open_virl, subset_rows
from rethinker.errors import DatasetError


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return open_table(write_virl(tmp_path))


def rows(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(("name", "wanted"), [("virl-7b", [1, 2, 3, 5]), ("virl-32b", [0, 1])])
def test_a_named_subset_is_the_one_that_a_run_would_train_on(tmp_path: Path, name: str, wanted: list[int]) -> None:
    file = write_virl(tmp_path)
    assert rows(in_subset(open_table(file), SUBSETS[name])) == wanted == subset_rows(open_virl(file), name)


def test_a_range_of_pass_rates_includes_its_bounds_and_no_unknown_rate(table: Table) -> None:
    assert rows(between(table, "PassRate_7BBase", 0.125, 0.875)) == [1, 2, 5]
    assert rows(between(table, "PassRate_7BBase", -1, 0)) == [0]
    with pytest.raises(DatasetError, match="lower bound comes first"):
        between(table, "PassRate_7BBase", 0.9, 0.1)


def test_a_row_without_a_rate_is_unknown(tmp_path: Path) -> None:
    file = write_virl(tmp_path, [virl_row(0, 0.5), {**virl_row(1, 0.5), "PassRate_7BBase": None}])
    assert rows(between(open_table(file), "PassRate_7BBase", 0, 1)) == [0]


def test_a_rate_that_is_no_number_names_its_row_and_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"rate": ["0.5", "often"]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"a\.parquet, row 0: column 'rate': expected a number, got '0\.5'"):
        between(open_table(tmp_path / "a.parquet"), "rate", 0, 1)


def test_categories_are_taken_by_name_and_a_wrong_one_is_answered_with_the_nearest(table: Table) -> None:
    assert rows(among(table, "category", ["Geometry"])) == [1, 3, 5]
    assert rows(among(table, "source", ["one set", "another set"])) == list(range(6))
    with pytest.raises(DatasetError, match="has 'geometry' in its column 'category'; did you mean 'Geometry'"):
        among(table, "category", ["geometry"])
    with pytest.raises(DatasetError, match="it holds 'Charts', 'Geometry'"):
        among(table, "category", ["xyz"])


def test_conditions_are_laid_over_each_other_and_each_is_counted(table: Table) -> None:
    found = narrow(
        len(table),
        {
            "known": between(table, "PassRate_7BBase", 0, 1),
            "charts": among(table, "category", ["Charts"]),
            "clean": without(len(table), [0, 1]),
        },
    )
    assert found.rows == (2,)
    assert found.left == {"known": 5, "charts": 2, "clean": 1}
    assert narrow(len(RATES), {}).rows == tuple(range(len(RATES)))


def test_a_draw_depends_on_the_seed_alone_and_a_larger_one_contains_the_smaller() -> None:
    few, more = (drawn(range(100, 200), count, seed=1) for count in (10, 40))
    assert set(few) < set(more)
    assert list(more) == sorted(more)
    assert drawn(range(100, 200), 10, seed=1) == few != drawn(range(100, 200), 10, seed=2)
    assert drawn((3, 5), 9, seed=0) == (3, 5)
