"""Problems from a JSON-lines file, with image files beside it or images inside it.

A row: `{"image": …, "question": …, "answer": …}` and optionally `choices`, `id`, `category`, `verifier`; what an image
may be is said in `encoded.py`. Other fields are left alone. A scan at the start keeps only where each row begins and
which ids repeat, so memory grows by tens of bytes a row, whatever the rows hold; a row and its images are read when
asked for.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from array import array
from pathlib import Path
from typing import Any

from rethinker.data.columns import USUAL, Columns, pick, text
from rethinker.data.repeats import Repeats
from rethinker.data.rows import Row, RowSource
from rethinker.data.unchanged import Unchanged
from rethinker.errors import ColumnError, DataError, DatasetError

MAX_LINE_BYTES = 64_000_000
"""A longer line is a bad row, never held in memory; it bounds images in base64 too."""


class JsonlSource(RowSource):
    """Rows of a JSON-lines file; a row without an id is named `<file stem>-<line>`."""

    def __init__(
        self,
        path: Path,
        *,
        images: Path | None = None,
        max_pixels: int = 50_000_000,
        columns: Columns = USUAL,
    ) -> None:
        """Scan the file.

        Args:
            path: The file.
            images: Folder that image paths are relative to; None means the file's own.
            max_pixels: Largest image area.
            columns: Where a row holds what.

        Raises:
            DatasetError: the file is missing, unreadable or has no rows, or none of them has a column that is needed or
                named.
        """
        super().__init__(max_pixels=max_pixels)
        self._path = path
        self._images = images or path.parent
        self._columns = columns
        self._reads = columns.names
        self._offsets = array("q")
        self._lines = array("q")
        self._repeats = Repeats()
        self._present: dict[str, None] = {}
        try:
            self._file = Unchanged(path)
            self._scan()
        except OSError as error:
            raise DatasetError(
                f"data file {path} cannot be read: {error.strerror or error}; check data.path"
            ) from error
        if not self._offsets:
            raise DatasetError(f"data file {path} is empty; it needs one JSON object a line")
        if self._present:
            columns.check(self._present, path)

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self._path,)

    @property
    def reads(self) -> frozenset[str]:
        """Where a row may hold what."""
        return self._reads

    def where(self, index: int) -> str:
        """File and line."""
        return f"{self._path}, line {self._lines[index]}"

    def id(self, index: int) -> str:
        """The row's own id, else `<file stem>-<line>`, also for a row that cannot be read."""
        try:
            return self._id(index, self._fields(index))
        except DataError:
            return self._default_id(index)

    def row(self, index: int) -> Row:
        """Read one line.

        Raises:
            DataError: it is no JSON object, a column is missing or holds what was not expected, or its id stands on an
                earlier line too.
            DatasetError: the file is another than it was.
        """
        fields = self._fields(index)
        name, first = self._id(index, fields), self._repeats.first(index)
        if first is not None:
            column, _ = pick(fields, self._columns.id)
            raise ColumnError(f"{name!r} stands on line {self._lines[first]} already; ids must be unique", column)
        return self._columns.row(fields, id=name, folder=self._images, source=self._path.name)

    def _scan(self) -> None:
        """Note where rows begin, which repeat an earlier id, and which columns there are."""
        with self._path.open("rb") as file:
            for number in itertools.count(1):
                offset = file.tell()
                line = file.readline(MAX_LINE_BYTES + 1)
                if not line:
                    break
                if line.strip():
                    self._offsets.append(offset)
                    self._lines.append(number)
                    self._note(line)
                while line and not line.endswith(b"\n"):  # the rest of a line that is too long
                    line = file.readline(MAX_LINE_BYTES)
        self._repeats.seal()

    def _note(self, line: bytes) -> None:
        index = len(self._offsets) - 1
        with contextlib.suppress(DataError):  # reported when the row is asked for
            fields = _parse(line)
            # the first row's in full, for a message; of later rows what is looked at, for memory
            self._present |= dict.fromkeys(name for name in fields if not self._present or name in self._reads)
            self._repeats.note(index, self._id(index, fields))

    def _fields(self, index: int) -> dict[str, Any]:
        self._file.check()
        with self._path.open("rb") as file:
            file.seek(self._offsets[index])
            return _parse(file.readline(MAX_LINE_BYTES + 1))

    def _id(self, index: int, fields: dict[str, Any]) -> str:
        return text(fields, self._columns.id) or self._default_id(index)

    def _default_id(self, index: int) -> str:
        return f"{self._path.stem}-{self._lines[index]}"


def _parse(line: bytes) -> dict[str, Any]:
    """Parse one line, which must be a JSON object."""
    if len(line) > MAX_LINE_BYTES:
        raise DataError(f"the line is longer than {MAX_LINE_BYTES} bytes; keep images in files of their own")
    try:
        row = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise DataError(f"character {error.colno}: not valid JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"byte {error.start + 1}: not UTF-8: {error.reason}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"not usable JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"expected a JSON object {{…}}, got {type(row).__name__}")
    return row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")
