"""Problems from a JSON-lines file with image files beside it.

A row: `{"image": path | [paths] | absent, "question": …, "answer": …}` and optionally `choices`, `id`, `category`,
`verifier`. Other fields are left alone. A scan at the start keeps only where each row begins and which ids repeat, so
memory grows by tens of bytes a row, whatever the rows hold; a row and its images are read when asked for.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from pathlib import Path
from typing import Any

from rethinker.data.images import image_path, load_image
from rethinker.data.rows import list_options, make_problem, option_letter, unbox
from rethinker.errors import DataError, DatasetError
from rethinker.interfaces import ProblemSource
from rethinker.types import Problem

VERIFIERS = ("number", "choice", "latex", "text", "list")


class JsonlSource(ProblemSource):
    """Rows of a JSON-lines file; a row without an id is named `<file stem>-<line>`."""

    def __init__(self, path: Path, *, images: Path | None = None, max_pixels: int = 50_000_000) -> None:
        """Scan the file.

        Args:
            path: The file.
            images: Folder that image paths are relative to; None means the file's own.
            max_pixels: Largest image area.

        Raises:
            DatasetError: the file is missing, unreadable or has no rows.
        """
        self._path = path
        self._images = images or path.parent
        self._max_pixels = max_pixels
        self._offsets = array("q")
        self._lines = array("q")
        self._first_with_id: dict[int, int] = {}
        try:
            self._scan()
        except OSError as error:
            raise DatasetError(
                f"data file {path} cannot be read: {error.strerror or error}; check data.path"
            ) from error
        if not self._offsets:
            raise DatasetError(f"data file {path} is empty; it needs one JSON object a line")

    def __len__(self) -> int:
        return len(self._offsets)

    def id(self, index: int) -> str:
        """The row's own id, else `<file stem>-<line>`, also for a row that cannot be read."""
        try:
            return self._id(index, self._row(index))
        except DataError:
            return self._default_id(index)

    def __getitem__(self, index: int) -> Problem:
        """Read one row and its images.

        Raises:
            DataError: the row is no JSON object, a field is missing or of the wrong type, its id stands on an earlier
                line too, or an image cannot be loaded.
        """
        row, where = self._row(index), self._where(index)
        if index in self._first_with_id:
            first = self._lines[self._first_with_id[index]]
            raise DataError(f"{where}: id {self._id(index, row)!r} stands on line {first} already; ids must be unique")
        verifier = _text(row, "verifier", where, default="")
        if verifier and verifier not in VERIFIERS:
            raise DataError(f"{where}: verifier {verifier!r} is unknown; use one of {', '.join(VERIFIERS)}")
        choices, answer = _texts(row, "choices", where), _text(row, "answer", where)
        try:
            paths = [image_path(self._images, name) for name in _texts(row, "image", where)]
            return make_problem(
                id=self._id(index, row),
                images=tuple(load_image(path, max_pixels=self._max_pixels) for path in paths),
                question=_text(row, "question", where) + list_options(choices),
                answer=option_letter(unbox(answer), choices) if choices else answer,
                verifier=verifier,
                choices=tuple(choices),
                category=_text(row, "category", where, default=""),
                source=self._path.name,
            )
        except DataError as error:
            raise DataError(f"{where}: {error}") from error

    def _scan(self) -> None:
        """Note where rows begin and which repeat an earlier id, by 64-bit hash: ids themselves are not kept."""
        rows_by_hash: dict[int, int] = {}
        with self._path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, start=1):
                if line.strip():
                    self._offsets.append(offset)
                    self._lines.append(number)
                    self._note_id(line, rows_by_hash)
                offset += len(line)

    def _note_id(self, line: bytes, rows_by_hash: dict[int, int]) -> None:
        index = len(self._offsets) - 1
        try:
            name = self._id(index, _parse(line, self._where(index)))
        except DataError:
            return  # reported when the row is asked for
        digest = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
        first = rows_by_hash.setdefault(digest, index)
        if first != index:
            self._first_with_id[index] = first

    def _row(self, index: int) -> dict[str, Any]:
        with self._path.open("rb") as file:
            file.seek(self._offsets[index])
            return _parse(file.readline(), self._where(index))

    def _id(self, index: int, row: dict[str, Any]) -> str:
        return _text(row, "id", self._where(index), default="") or self._default_id(index)

    def _default_id(self, index: int) -> str:
        return f"{self._path.stem}-{self._lines[index]}"

    def _where(self, index: int) -> str:
        return f"{self._path}, line {self._lines[index]}"


def _parse(line: bytes, where: str) -> dict[str, Any]:
    """Parse one line, which must be a JSON object."""
    try:
        row = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}, column {error.colno}: not valid JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{where}, byte {error.start + 1}: not UTF-8: {error.reason}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not usable JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected a JSON object {{…}}, got {type(row).__name__}")
    return row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _text(row: dict[str, Any], field: str, where: str, *, default: str | None = None) -> str:
    """A field as text; numbers are written out. An absent or null field takes the default, if there is one."""
    value = row.get(field)
    if value is None and default is not None:
        return default
    if value is None:
        raise DataError(f"{where}: field {field!r} is missing")
    return _as_text(value, field, where)


def _texts(row: dict[str, Any], field: str, where: str) -> list[str]:
    """A field that holds one text, a list of texts, or nothing."""
    value = row.get(field)
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    return [_as_text(value, field, where) for value in values]


def _as_text(value: object, field: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{where}: field {field!r} must be text or a number, got {json.dumps(value)[:80]}")
    return value if isinstance(value, str) else str(value)
