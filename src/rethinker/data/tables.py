"""Data files as tables: columns and rows as they stand there, whatever a problem makes of them.

For what works on whole rows and leaves their columns alone: selecting, adding a column, counting. Rows are counted as
the file's `ProblemSource` counts them.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from rethinker.data.jsonl import MAX_LINE_BYTES
from rethinker.data.parquet import shards
from rethinker.errors import DatasetError

BATCH_ROWS = 64
"""Rows of parquet read at once; their images may be among them."""

ROW_GROUP_BYTES = 32_000_000
"""Rows of parquet are gathered to so many bytes before they are written as a row group."""

Added = Mapping[str, Sequence[float]]
"""New columns: name → one number per row of the whole table."""


class Table(ABC):
    """A data file's rows and columns.

    Attributes:
        path: The file, or the folder of shards.
        files: What it is stored in.
        suffix: How the name of a file of this format ends.
        columns: Names, in the file's order.
    """

    path: Path
    files: tuple[Path, ...]
    suffix: str
    columns: tuple[str, ...]

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    def column(self, name: str) -> list[Any]:
        """One value per row; None where a row has none.

        Raises:
            DatasetError: there is no such column.
        """
        if name not in self.columns:
            near = difflib.get_close_matches(name, self.columns, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise DatasetError(f"{self.path} has no column {name!r}; {hint}it has {', '.join(self.columns)}")
        return self._values(name)

    @abstractmethod
    def write(self, file: BinaryIO, rows: Sequence[int], *, added: Added | None = None) -> None:
        """Write some rows, in ascending order, in this table's format, with every column they have.

        A column added takes a name that no column has.

        Raises:
            DatasetError: the rows cannot be read, or written again.
        """

    def digest(self) -> str:
        """Hex SHA-256 of its files: row numbers of one data set mean nothing in another.

        Raises:
            DatasetError: a file cannot be read.
        """
        total = hashlib.sha256()
        for path in self.files:
            with _reading(path), path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        return total.hexdigest()

    @abstractmethod
    def _values(self, name: str) -> list[Any]: ...


def open_table(path: Path) -> Table:
    """Open a data file of a kind that `opening.open_source` knows.

    Raises:
        DatasetError: it is missing, empty, unreadable, or of no kind known.
    """
    if path.suffix == ".jsonl":
        return _Lines(path)
    if path.suffix == ".json":
        return _Object(path)
    if path.suffix == ".parquet" or path.is_dir():
        return _Parquet(path)
    raise DatasetError(f"{path} is no data file: expected .jsonl, .parquet, or LogicVista's dataset.json")


def json_bytes(content: object, *, indent: int | None = None) -> bytes:
    """JSON in UTF-8, with signs as they are; half a surrogate pair stays the escape it was: UTF-8 has none."""
    return json.dumps(content, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say of what goes wrong inside which file it is about."""
    try:
        yield
    except OSError as error:
        raise DatasetError(f"data file {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, OverflowError, RecursionError, pa.ArrowException) as error:  # json's errors are ValueErrors
        raise DatasetError(f"data file {path} cannot be read: {error}") from error


class _Lines(Table):
    """A JSON-lines file; lines are copied byte for byte unless a column is added."""

    suffix = ".jsonl"

    def __init__(self, path: Path) -> None:
        self.path, self.files = path, (path,)
        names: dict[str, None] = {}
        self._rows = 0
        for line in self._lines():
            self._rows += 1
            names.update(dict.fromkeys(_fields(line)))
        self.columns = tuple(names)
        if not self._rows:
            raise DatasetError(f"data file {path} is empty; it needs one JSON object a line")

    def __len__(self) -> int:
        return self._rows

    def write(self, file: BinaryIO, rows: Sequence[int], *, added: Added | None = None) -> None:
        chosen = set(rows)
        for row, line in enumerate(self._lines()):
            if row not in chosen:
                continue
            if added and (fields := _fields(line)):
                line = json_bytes(_extended(fields, row, added))
            file.write(line.rstrip(b"\r\n") + b"\n")

    def _values(self, name: str) -> list[Any]:
        return [_fields(line).get(name) for line in self._lines()]

    def _lines(self) -> Iterator[bytes]:
        with _reading(self.path), self.path.open("rb") as file:
            for number, line in enumerate(iter(partial(file.readline, MAX_LINE_BYTES + 1), b""), start=1):
                if len(line) > MAX_LINE_BYTES:
                    raise ValueError(f"line {number} is longer than {MAX_LINE_BYTES} bytes; keep images in files")
                if line.strip():
                    yield line.removeprefix(b"\xef\xbb\xbf")


class _Object(Table):
    """LogicVista's `dataset.json`: an object from id to row."""

    suffix = ".json"

    def __init__(self, path: Path) -> None:
        self.path, self.files = path, (path,)
        with _reading(path):
            stored = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(stored, dict) or not stored:
            raise DatasetError(
                f"{path} must hold a JSON object from id to row with at least one row, as LogicVista's does; a list of "
                "rows is written as JSON lines (.jsonl), one row a line"
            )
        self._stored: dict[str, Any] = stored
        self.columns = tuple(dict.fromkeys(name for row in stored.values() for name in _object(row)))

    def __len__(self) -> int:
        return len(self._stored)

    def write(self, file: BinaryIO, rows: Sequence[int], *, added: Added | None = None) -> None:
        names = list(self._stored)
        kept = {names[row]: _extended(self._stored[names[row]], row, added) for row in rows}
        file.write(json_bytes(kept, indent=1))

    def _values(self, name: str) -> list[Any]:
        return [_object(row).get(name) for row in self._stored.values()]


class _Parquet(Table):
    """A parquet file, or a folder of shards that are written as one file."""

    suffix = ".parquet"

    def __init__(self, path: Path) -> None:
        self.path, self.files = path, tuple(shards(path))
        with _reading(path):
            self._schema = pq.read_schema(self.files[0])
            self._rows = sum(pq.read_metadata(file).num_rows for file in self.files)
            differing = [file for file in self.files if not pq.read_schema(file).equals(self._schema)]
        if differing:
            raise DatasetError(f"{differing[0]} has other columns than {self.files[0]}; work on one file at a time")
        if not self._rows:
            raise DatasetError(f"data file {path} has no rows")
        self.columns = tuple(self._schema.names)

    def __len__(self) -> int:
        return self._rows

    def write(self, file: BinaryIO, rows: Sequence[int], *, added: Added | None = None) -> None:
        schema = self._schema
        for name in added or {}:
            schema = _with_number(schema, name)
        try:
            self._write(file, frozenset(rows), added or {}, schema)
        except pa.ArrowException as error:
            raise DatasetError(f"data file {self.path} cannot be written as parquet again: {error}") from error

    def _write(self, file: BinaryIO, rows: frozenset[int], added: Added, schema: pa.Schema) -> None:
        with pq.ParquetWriter(file, schema) as writer:
            gathered: list[pa.RecordBatch] = []
            for batch in self._chosen(rows, added, schema):
                gathered.append(batch)
                if sum(each.nbytes for each in gathered) >= ROW_GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(gathered))
                    gathered.clear()
            if gathered:
                writer.write_table(pa.Table.from_batches(gathered))

    def _chosen(self, rows: frozenset[int], added: Added, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Batches of the rows chosen, with their new columns."""
        start = 0
        for batch in self._batches(None):
            within = [row for row in range(start, start + batch.num_rows) if row in rows]
            taken = batch.take(pa.array([row - start for row in within], pa.int64()))
            new = [pa.array([values[row] for row in within], pa.float64()) for values in added.values()]
            yield pa.record_batch([*taken.columns, *new], schema=schema)
            start += batch.num_rows

    def _values(self, name: str) -> list[Any]:
        return [value for batch in self._batches([name]) for value in batch.column(0).to_pylist()]

    def _batches(self, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        for path in self.files:
            with _reading(path):
                yield from pq.ParquetFile(path).iter_batches(batch_size=BATCH_ROWS, columns=columns)


def _fields(line: bytes) -> dict[str, Any]:
    """A line's fields; none where it is no JSON object: that is the reader's to report."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return _object(row)


def _object(row: object) -> dict[str, Any]:
    return row if isinstance(row, dict) else {}


def _extended(fields: Any, row: int, added: Added | None) -> Any:
    """A row's fields with its new ones; what is no object is left as it is."""
    new = {name: values[row] for name, values in (added or {}).items()}
    return {**fields, **new} if isinstance(fields, dict) else fields


def _with_number(schema: pa.Schema, name: str) -> pa.Schema:
    """The schema with a float column more, also in what `datasets` notes there and would refuse to differ from."""
    schema = schema.append(pa.field(name, pa.float64()))
    noted = (schema.metadata or {}).get(b"huggingface")
    if noted is None:
        return schema
    notes = json.loads(noted)
    notes["info"]["features"][name] = {"dtype": "float64", "_type": "Value"}
    return schema.with_metadata({**schema.metadata, b"huggingface": json.dumps(notes).encode()})
