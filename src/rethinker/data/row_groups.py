"""Random access to rows of parquet shards: row groups are read when asked for, and the last used stay within a bound.

A parquet file can only be read by row groups, so the largest one of those is the least that must fit in memory.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rethinker.data.unchanged import Unchanged
from rethinker.errors import ColumnError, DataError, DatasetError, OutOfMemoryError

BATCH_ROWS = 64
"""Rows read at once, after which their size is looked at."""

FAULTS = (OSError, OverflowError, ValueError, pa.ArrowException)
"""What pyarrow raises for a damaged file; names that are no UTF-8 are ValueErrors."""


class RowGroups:
    """The rows of some parquet files, one file after another. Safe to use from several threads."""

    def __init__(self, files: Sequence[Path], columns: Collection[str], *, memory_bytes: int) -> None:
        """Read the files' footers.

        Args:
            files: Shards of one data set.
            columns: What is read of a row; a file may lack some of them.
            memory_bytes: Most bytes of row groups held at once.

        Raises:
            DatasetError: a file is missing or no parquet, or one of its row groups alone exceeds the bound.
        """
        self._files = tuple(files)
        self._footers = [_footer(file) for file in self._files]
        self._unchanged = [Unchanged(file) for file in self._files]
        self._columns = [[name for name in self.names(place) if name in columns] for place in range(len(self._files))]
        self._groups = [
            (place, group) for place, footer in enumerate(self._footers) for group in range(footer.num_row_groups)
        ]
        rows = [self._footers[place].row_group(group).num_rows for place, group in self._groups]
        self._starts = [0, *accumulate(rows)]
        self._file_starts = [0, *accumulate(footer.num_rows for footer in self._footers)]
        self._memory_bytes = memory_bytes
        self._held: OrderedDict[int, pa.Table] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._refuse_what_cannot_fit()

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def files(self) -> tuple[Path, ...]:
        """The shards."""
        return self._files

    @property
    def bytes_held(self) -> int:
        """Bytes of the row groups in memory."""
        return self._bytes

    def names(self, place: int) -> list[str]:
        """The columns of the file at `place`, asked for or not."""
        return list(self._footers[place].schema.to_arrow_schema().names)

    def place(self, row: int) -> tuple[Path, int]:
        """A row's file and its number there, from 0."""
        file = bisect_right(self._file_starts, row) - 1
        return self._files[file], row - self._file_starts[file]

    def fields(self, row: int) -> dict[str, Any]:
        """Read one row: column → Python value.

        Raises:
            DataError: its row group is damaged, or a value is one that Python does not have.
            DatasetError: the file is another than it was.
            OutOfMemoryError: there is no memory for the row group.
        """
        group = bisect_right(self._starts, row) - 1
        table, offset = self._table(group), row - self._starts[group]
        return {name: _value(table[place][offset], name) for place, name in enumerate(table.column_names)}

    def column(self, name: str, kind: pa.DataType) -> pa.ChunkedArray:
        """All of one column as a type, null where a file lacks it.

        Raises:
            DatasetError: it is damaged, or of another kind.
        """
        chunks: list[pa.Array] = []
        for place, (file, footer) in enumerate(zip(self._files, self._footers, strict=True)):
            if name not in self.names(place):
                chunks.append(pa.nulls(footer.num_rows, kind))
                continue
            try:
                column = pq.read_table(file, columns=[name]).column(name).cast(kind)
                column.validate(full=True)  # text in a file need not be UTF-8
                if len(column) != footer.num_rows:
                    raise DatasetError(f"{file}: column {name!r} holds {len(column)} values, not {footer.num_rows}")
                chunks += column.chunks
            except FAULTS as error:
                raise DatasetError(f"{file}: column {name!r}: expected values of type {kind}: {error}") from error
        return pa.chunked_array(chunks, type=kind)

    def _table(self, group: int) -> pa.Table:
        with self._lock:
            table = self._held.get(group)
            if table is None:
                table = self._held[group] = self._read(group)
                self._bytes += table.nbytes
                while len(self._held) > 1 and self._bytes > self._memory_bytes:
                    self._bytes -= self._held.popitem(last=False)[1].nbytes
            self._held.move_to_end(group)
            return table

    def _read(self, group: int) -> pa.Table:
        place, number = self._groups[group]
        self._unchanged[place].check()
        try:
            with pq.ParquetFile(self._files[place], metadata=self._footers[place]) as file:
                batches = list(self._batches(file, place, number))
                table = pa.Table.from_batches(batches, batches[0].schema if batches else pa.schema([]))
        except MemoryError as error:  # pyarrow's own is one of its faults too
            raise OutOfMemoryError(
                f"memory ran out while row group {number} of {self._files[place]} was read; give the process more, or "
                "write the file with smaller row groups (pyarrow.parquet.write_table(…, row_group_size=200))"
            ) from error
        except FAULTS as error:
            raise DataError(f"row group {number} cannot be read: {error}") from error
        if table.num_rows != self._footers[place].row_group(number).num_rows:
            raise DataError(f"row group {number} holds other than the rows that its file says; write the file again")
        return table

    def _batches(self, file: pq.ParquetFile, place: int, number: int) -> Iterator[pa.RecordBatch]:
        """A row group by and by: the size that its footer says may be a lie, and a short word a million times a row."""
        size = 0
        for batch in file.iter_batches(
            BATCH_ROWS, row_groups=[number], columns=self._columns[place], use_threads=False
        ):
            size += batch.nbytes
            if size > self._memory_bytes:
                raise DataError(f"row group {number} unpacks to more than data.row_group_bytes={self._memory_bytes}")
            yield batch

    def _refuse_what_cannot_fit(self) -> None:
        for place, group in self._groups:
            size = self._footers[place].row_group(group).total_byte_size
            if size > self._memory_bytes:
                raise DatasetError(
                    f"{self._files[place]}: row group {group} holds {size} bytes, more than data.row_group_bytes="
                    f"{self._memory_bytes}; write the file with smaller row groups "
                    "(pyarrow.parquet.write_table(…, row_group_size=200)), or raise the bound"
                )


def _value(scalar: pa.Scalar, name: str) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError) as error:  # text that is no UTF-8, a date after the year 9999
        raise ColumnError(f"its value cannot be read: {error}", name) from error


def _footer(file: Path) -> pq.FileMetaData:
    try:
        footer = pq.read_metadata(file)
        footer.schema.to_arrow_schema()
        rows = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    except OSError as error:
        raise DatasetError(f"data file {file} cannot be read: {error.strerror or error}; check data.path") from error
    except FAULTS as error:
        raise DatasetError(f"{file} is no parquet file: {error}") from error
    if min(rows, default=0) < 0 or sum(rows) != footer.num_rows:
        raise DatasetError(f"{file} is no parquet file: its row groups hold {sum(rows)} rows, not {footer.num_rows}")
    return footer
