"""Which rows of a data set to train on: by a column's numbers or texts, by an overlap with evaluation data, at random.

Each condition is a mask over all rows; `narrow` lays them over each other and counts what every one leaves.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from rethinker.data.tables import Table
from rethinker.data.virl import PassRates
from rethinker.errors import DatasetError
from rethinker.seeding import Purpose, generator

Mask = Bool[np.ndarray, " rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """What was kept.

    Attributes:
        rows: Indices, ascending.
        left: Rows left after each condition, by its label, in order.
    """

    rows: tuple[int, ...]
    left: dict[str, int]


def narrow(total: int, conditions: Mapping[str, Mask]) -> Narrowing:
    """Lay conditions over each other in their order."""
    kept = np.ones(total, dtype=np.bool_)
    left: dict[str, int] = {}
    for label, mask in conditions.items():
        kept &= mask
        left[label] = int(kept.sum())
    return Narrowing(rows=tuple(map(int, np.flatnonzero(kept))), left=left)


def in_subset(table: Table, subset: PassRates) -> Mask:
    """Rows of a named subset of ViRL39K.

    Raises:
        DatasetError: the table has no such column, or something else than numbers in it.
    """
    return np.array([subset.holds(rate) for rate in numbers(table, subset.column)], dtype=np.bool_)


def between(table: Table, column: str, low: float, high: float) -> Mask:
    """Rows with low ≤ value ≤ high; a row without a value, or with −1 (unknown), is not among them.

    Raises:
        DatasetError: as `in_subset`, or no value can lie between the bounds.
    """
    if not low <= high:
        raise DatasetError(f"no {column} lies between {low:g} and {high:g}; the lower bound comes first")
    values = numbers(table, column)
    return (values >= low) & (values <= high) & (values != -1)


def among(table: Table, column: str, wanted: Sequence[str]) -> Mask:
    """Rows whose text in a column is one of those wanted.

    Raises:
        DatasetError: the table has no such column, or no row holds one of the texts.
    """
    values = [None if value is None else str(value) for value in table.column(column)]
    found = sorted({value for value in values if value is not None})
    for text in wanted:
        if text not in found:
            near = difflib.get_close_matches(text, found, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it holds {_listed(found)}"
            raise DatasetError(f"no row of {table.path} has {text!r} in its column {column!r}; {hint}")
    return np.array([value in wanted for value in values], dtype=np.bool_)


def without(total: int, rows: Iterable[int]) -> Mask:
    """All rows but these."""
    mask = np.ones(total, dtype=np.bool_)
    mask[list(rows)] = False
    return mask


def drawn(rows: Sequence[int], count: int, *, seed: int) -> tuple[int, ...]:
    """At most so many of the rows, drawn without replacement, in their order; more of them contain the fewer."""
    order = generator(seed, Purpose.SELECTION).permutation(len(rows))
    return tuple(sorted(rows[place] for place in order[:count]))


def numbers(table: Table, column: str) -> np.ndarray:
    """A column as floats; NaN where a row has no value.

    Raises:
        DatasetError: there is no such column, or something else than numbers in it.
    """
    values = table.column(column)
    for row, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise DatasetError(f"{table.path}, row {row}: column {column!r}: expected a number, got {value!r}")
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _listed(values: Sequence[str], most: int = 12) -> str:
    return ", ".join(map(repr, values[:most])) + (f" and {len(values) - most} more" if len(values) > most else "")
