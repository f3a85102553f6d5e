"""Problems from parquet shards: Hugging Face's `images / problem / answer` with embedded bytes, or paths to files.

Rows are counted from 0 within their file, as data frames count them. Read with pyarrow, which gives row groups by
themselves; a data frame would hold every image of a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from rethinker.data.columns import USUAL, Columns
from rethinker.data.repeats import Repeats
from rethinker.data.row_groups import RowGroups
from rethinker.data.rows import Row, RowSource
from rethinker.errors import ColumnError, DatasetError

SPLITS = ("train", "validation", "valid", "val", "dev", "test")
"""What shards are named after (`train-00000-of-00002.parquet`, `test/0000.parquet`)."""


class ParquetSource(RowSource):
    """Rows of parquet files in the order given; a row without an id is named `<file stem>-<row>`."""

    def __init__(
        self,
        files: Sequence[Path],
        *,
        images: Path | None = None,
        max_pixels: int = 50_000_000,
        columns: Columns = USUAL,
        row_group_bytes: int = 256_000_000,
    ) -> None:
        """Read the files' footers and ids.

        Args:
            files: Shards of one data set.
            images: Folder that image paths are relative to; None means the first file's own.
            max_pixels: Largest image area.
            columns: Where a row holds what.
            row_group_bytes: Most bytes of row groups held in memory.

        Raises:
            DatasetError: a file is missing, no parquet, lacks a column, or has a row group that exceeds the bound, or
                there are no rows.
        """
        super().__init__(max_pixels=max_pixels)
        self._columns = columns
        self._reads = columns.names
        self._groups = RowGroups(files, self._reads, memory_bytes=row_group_bytes)
        self._images = images or files[0].parent
        for place, file in enumerate(files):
            columns.check(self._groups.names(place), file)
        if not len(self._groups):
            raise DatasetError(f"{', '.join(map(str, files))}: no rows")
        present = {name for place in range(len(files)) for name in self._groups.names(place)}
        self._id_column = next((name for name in columns.id if name in present), "")
        self._ids = self._groups.column(self._id_column, pa.string()) if self._id_column else None
        self._repeats = Repeats()
        for index in range(len(self)):
            self._repeats.note(index, self.id(index))
        self._repeats.seal()

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def files(self) -> tuple[Path, ...]:
        """The shards."""
        return self._groups.files

    @property
    def reads(self) -> frozenset[str]:
        """Where a row may hold what."""
        return self._reads

    def where(self, index: int) -> str:
        """File and row, counted from 0."""
        file, row = self._groups.place(index)
        return f"{file}, row {row}"

    def id(self, index: int) -> str:
        """The row's own id, else `<file stem>-<row>`."""
        name = self._ids[index].as_py() if self._ids is not None else None
        file, row = self._groups.place(index)
        return str(name) if name else f"{file.stem}-{row}"

    def row(self, index: int) -> Row:
        """Read one row.

        Raises:
            DataError: a column holds what was not expected, or the row's id stands in an earlier row too.
        """
        first = self._repeats.first(index)
        if first is not None:
            raise ColumnError(
                f"{self.id(index)!r} stands in {self.where(first)} already; ids must be unique", self._id_column
            )
        return self._columns.row(
            self._groups.fields(index),
            id=self.id(index),
            folder=self._images,
            source=self._groups.place(index)[0].name,
        )

    def numbers(self, column: str) -> list[float | None]:
        """All values of one column, also of one that no problem needs (a pass rate).

        Raises:
            DatasetError: it holds something else than numbers.
        """
        return list(self._groups.column(column, pa.float64()).to_pylist())


def shards(path: Path, *, split: str = "") -> list[Path]:
    """The parquet files of a data set, in order of their names.

    Args:
        path: A file, or a folder of shards.
        split: Takes those named after one split alone; empty takes all, which then may not be of different splits.

    Raises:
        DatasetError: there is none, or shards of several splits and no choice among them.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DatasetError(f"data file {path} cannot be read: there is no such file or folder; check data.path")
    files = sorted(path.rglob("*.parquet"))
    splits = {file: _split(file.relative_to(path)) for file in files}
    chosen = [file for file in files if splits[file] == split] if split else files
    if not chosen:
        raise DatasetError(
            f"{path} holds no parquet file{f' of the split {split!r}' if split else ''}; check data.path"
        )
    if not split and len(set(splits.values())) > 1:
        found = ", ".join(sorted(name or "(no split)" for name in set(splits.values())))
        raise DatasetError(f"{path} holds several splits: {found}; choose with data.split, or name one file")
    return chosen


def _split(file: Path) -> str:
    """The split that a shard's name, or a folder above it, begins with; empty where none does."""
    words = [re.split(r"[-_.]", part)[0] for part in reversed(file.parts)]
    return next((word for word in words if word in SPLITS), "")
