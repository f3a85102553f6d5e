"""LogicVista's own layout: `dataset.json` (an object from id to row) beside `images/`.

The questions list their options themselves, or leave them to the picture. An answer is an option's letter, or several
("A, C"). Source: Xiao et al., LogicVista (arXiv 2407.04973), Apache-2.0; eight of its problems are shipped.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rethinker.data.columns import filled
from rethinker.data.encoded import image_file
from rethinker.data.rows import Row, RowSource, make_row
from rethinker.errors import ColumnError, DataError, DatasetError

FIXTURES = Path(__file__).parent.parent / "assets" / "logicvista" / "dataset.json"
"""The shipped handful."""

LETTERS = re.compile(r"[A-Z](\s*,\s*[A-Z])*")


class LogicVistaSource(RowSource):
    """Rows of LogicVista's `dataset.json`, in the file's order."""

    def __init__(self, path: str | Path = "fixtures", *, max_pixels: int = 50_000_000) -> None:
        """Read the file; images are read row by row.

        Args:
            path: The `dataset.json`; "fixtures" is the handful shipped in the package.
            max_pixels: Largest image area.

        Raises:
            DatasetError: the file is missing, no JSON object, or empty.
        """
        super().__init__(max_pixels=max_pixels)
        self._path = FIXTURES if path == "fixtures" else Path(path)
        self._rows = _read(self._path)
        self._ids = list(self._rows)

    def __len__(self) -> int:
        return len(self._ids)

    def id(self, index: int) -> str:
        """The row's key in the file."""
        return self._ids[index]

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self._path,)

    @property
    def reads(self) -> frozenset[str]:
        """What LogicVista's rows hold for us."""
        return frozenset(("question", "answer", "imagename", "skill"))

    def where(self, index: int) -> str:
        """File and key."""
        return f"{self._path}, row {self._ids[index]}"

    def row(self, index: int) -> Row:
        """Read one row.

        Raises:
            DataError: no question, answer or image, or an answer that names no option.
        """
        name = self._ids[index]
        fields = self._rows[name]
        if not isinstance(fields, dict):
            raise DataError(f"expected a JSON object {{…}}, got {type(fields).__name__}")
        question, answer, image = (filled(fields, (column,)) for column in ("question", "answer", "imagename"))
        if not LETTERS.fullmatch(answer.strip()):
            raise ColumnError(f'expected an option\'s letter, or several as "A, C", got {answer!r}', "answer")
        return make_row(
            id=name,
            images=(image_file(self._path.parent / "images", image, column="imagename"),),
            question=question,
            answer=answer,
            verifier="list" if "," in answer else "choice",
            category=_category(fields),
            source="logicvista",
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError(
            f"LogicVista file {path} cannot be read: {error.strerror or error}; check data.path"
        ) from error
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}, line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not usable JSON: {error}") from error
    if not isinstance(rows, dict) or not rows:
        raise DatasetError(
            f"{path} must hold a JSON object from id to row with at least one row, as LogicVista's does; a list of "
            "rows is written as JSON lines (.jsonl), one row a line"
        )
    return rows


def _category(row: dict[str, Any]) -> str:
    """The first reasoning skill named; empty where there is none."""
    skills = row.get("skill")
    return str(skills[0]) if isinstance(skills, list) and skills else ""
