"""What a data set holds, counted from its rows and the headers of its images: no pixel is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from rethinker.data.marks import MARK
from rethinker.data.parallel import in_order
from rethinker.data.rows import Row, RowSource
from rethinker.data.selection import numbers
from rethinker.data.tables import Table
from rethinker.errors import DataError

PASS_RATES = ("PassRate_7BBase", "PassRate_32BTrained", "pass_rate")
"""Columns that hold pass rates: ViRL39K's, and the one `rethinker data passrate` writes."""

QUANTILES = {
    "least": 0.0,
    "5 %": 0.05,
    "25 %": 0.25,
    "median": 0.5,
    "75 %": 0.75,
    "95 %": 0.95,
    "most": 1.0,
}

Sizes = tuple[tuple[int, int], ...]
"""(height, width) of each image of a row, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a data set holds. Counts are of readable rows, most frequent first.

    Attributes:
        rows: All rows.
        unreadable: Rows that can be no problem, as far as that shows without pixels.
        answer_kinds: By verifier.
        images_per_row: Number of images → rows.
        quantiles: Of the images' widths and heights (pixels) and the questions' lengths (characters), by `QUANTILES`.
        pass_rates: Per column, rows by pass rate.
    """

    rows: int
    unreadable: int
    categories: dict[str, int]
    sources: dict[str, int]
    answer_kinds: dict[str, int]
    images_per_row: dict[str, int]
    quantiles: dict[str, dict[str, float]]
    pass_rates: dict[str, dict[str, int]]


def describe(
    source: RowSource, table: Table, *, workers: int, advance: Callable[[], object] = lambda: None
) -> Statistics:
    """Count what a data set holds.

    Args:
        source: Its problems.
        table: The same file's columns.
        workers: Threads that read.
        advance: Called after each row.

    Raises:
        DatasetError: a pass-rate column holds something else than numbers.
    """
    readable: list[tuple[Row, Sizes]] = []
    for found in in_order(partial(_read, source), range(len(source)), workers=workers):
        if found is not None:
            readable.append(found)
        advance()
    rows = [row for row, _ in readable]
    sizes = np.array([size for _, images in readable for size in images], dtype=np.float64).reshape(-1, 2)
    return Statistics(
        rows=len(source),
        unreadable=len(source) - len(rows),
        categories=_counted([row.category for row in rows]),
        sources=_counted([row.source for row in rows]),
        answer_kinds=_counted([row.verifier for row in rows]),
        images_per_row=_counted([str(len(images)) for _, images in readable]),
        quantiles={
            "image width": _quantiles(sizes[:, 1]),
            "image height": _quantiles(sizes[:, 0]),
            "question length": _quantiles([len(MARK.sub("", row.question)) for row in rows]),
        },
        pass_rates={column: histogram(numbers(table, column)) for column in PASS_RATES if column in table.columns},
    )


def histogram(rates: Sequence[float] | np.ndarray) -> dict[str, int]:
    """Rows by pass rate: those that teach nothing (0 and 1) and those not known (−1 or none) are counted apart."""
    known = np.asarray(rates, dtype=np.float64)
    known = known[known >= 0]
    between = np.histogram(known[(known > 0) & (known < 1)], bins=[0, 0.25, 0.5, 0.75, 1])[0]
    labels = ("0 < r < ¼", "¼ ≤ r < ½", "½ ≤ r < ¾", "¾ ≤ r < 1")
    return {
        "unknown": len(rates) - len(known),
        "0": int((known == 0).sum()),
        **{label: int(count) for label, count in zip(labels, between)},
        "1": int((known >= 1).sum()),
    }


def _read(source: RowSource, index: int) -> tuple[Row, Sizes] | None:
    """A row without its images' bytes, and their sizes; None for one that can be no problem."""
    try:
        row = source.row(index)
        sizes = row.outline(max_pixels=source.max_pixels).image_sizes
    except DataError:
        return None  # counted by the caller; `rethinker data check` says why
    return replace(row, images=()), sizes


def _counted(values: Sequence[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _quantiles(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    return {name: float(np.quantile(values, share)) for name, share in QUANTILES.items()} if len(values) else {}
