"""ViRL39K: a parquet file beside a folder of images, and the two subsets the paper trained on.

Source: Wang et al., VL-Rethinker (arXiv 2504.08837), and the data set's card. The paper kept the problems whose model
had a non-zero pass rate in eight tries; no list of ids was published. What `virl-32b` also leaves out, rows that were
always right, is ours: the stated rule alone keeps every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rethinker.data.parquet import ParquetSource, shards
from rethinker.data.split import Subset
from rethinker.errors import DatasetError
from rethinker.interfaces import ProblemSource


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRates:
    """A selection by pass rate: above 0, and below 1 where `solved` rows are left out.

    Attributes:
        column: The pass rates it looks at; -1 is unknown, and never selected.
        paper: Rows the paper speaks of.
    """

    column: str
    solved: bool
    paper: str

    @property
    def rule(self) -> str:
        """For people."""
        return f"0 < {self.column}" if self.solved else f"0 < {self.column} < 1"

    def holds(self, rate: float | None) -> bool:
        """Whether a row of this pass rate is selected."""
        return rate is not None and rate > 0 and (self.solved or rate < 1)


SUBSETS = {
    "virl-7b": PassRates(column="PassRate_7BBase", solved=True, paper="about 16K"),
    "virl-32b": PassRates(column="PassRate_32BTrained", solved=False, paper="about 20K; by this rule 18,785"),
}


def open_virl(
    path: Path,
    *,
    images: Path | None = None,
    subset: str = "none",
    max_pixels: int = 50_000_000,
    row_group_bytes: int = 256_000_000,
) -> ProblemSource:
    """Open ViRL39K, or rows of its schema.

    Args:
        path: The parquet file, or its folder.
        images: Folder that image paths are relative to; None means the file's own.
        subset: One of `SUBSETS`; "none" takes every row.
        max_pixels: Largest image area.
        row_group_bytes: Most bytes of row groups held in memory.

    Raises:
        DatasetError: the file is missing or of another schema, or the subset is empty.
    """
    source = ParquetSource(shards(path), images=images, max_pixels=max_pixels, row_group_bytes=row_group_bytes)
    return source if subset == "none" else Subset(source, subset_rows(source, subset))


def subset_rows(source: ParquetSource, subset: str) -> list[int]:
    """Rows of a named subset, in order.

    Raises:
        DatasetError: the pass rates are missing or no numbers, or no row is selected.
    """
    chosen = SUBSETS[subset]
    rows = [row for row, rate in enumerate(source.numbers(chosen.column)) if chosen.holds(rate)]
    if not rows:
        raise DatasetError(
            f"{source.files[0]}: no row is in data.subset={subset}: none has a pass rate above 0"
            f"{'' if chosen.solved else ' and below 1'} in a column {chosen.column!r}"
        )
    return rows
