"""LogicVista's own layout: `dataset.json` (an object from id to row) beside `images/`.

The questions list their options themselves, or leave them to the picture. An answer is an option's letter, or several
("A, C"). Source: Xiao et al., LogicVista (arXiv 2407.04973), Apache-2.0; eight of its problems are shipped.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rethinker.data.images import image_path, load_image
from rethinker.data.rows import make_problem
from rethinker.errors import DataError, DatasetError
from rethinker.interfaces import ProblemSource
from rethinker.types import Problem

FIXTURES = Path(__file__).parent.parent / "assets" / "logicvista" / "dataset.json"
"""The shipped handful."""

LETTERS = re.compile(r"[A-Z](\s*,\s*[A-Z])*")


class LogicVistaSource(ProblemSource):
    """Rows of LogicVista's `dataset.json`, in the file's order."""

    def __init__(self, path: str | Path = "fixtures", *, max_pixels: int = 50_000_000) -> None:
        """Read the file; images are read row by row.

        Args:
            path: The `dataset.json`; "fixtures" is the handful shipped in the package.
            max_pixels: Largest image area.

        Raises:
            DatasetError: the file is missing, no JSON object, or empty.
        """
        self._path = FIXTURES if path == "fixtures" else Path(path)
        self._max_pixels = max_pixels
        self._rows = _read(self._path)
        self._ids = list(self._rows)

    def __len__(self) -> int:
        return len(self._ids)

    def id(self, index: int) -> str:
        """The row's key in the file."""
        return self._ids[index]

    def __getitem__(self, index: int) -> Problem:
        """Read one row and its image.

        Raises:
            DataError: no question or answer, an answer that names no option, or an image that cannot be loaded.
        """
        name = self._ids[index]
        row = self._rows[name]
        question, answer, image = (_field(row, field, name) for field in ("question", "answer", "imagename"))
        if answer.strip() and not LETTERS.fullmatch(answer.strip()):
            raise DataError(f'problem {name}: answer {answer!r} is not an option\'s letter, nor several as "A, C"')
        path = image_path(self._path.parent / "images", image)
        return make_problem(
            id=name,
            images=(load_image(path, max_pixels=self._max_pixels),),
            question=question,
            answer=answer,
            verifier="list" if "," in answer else "choice",
            category=_category(row),
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
        raise DatasetError(f"{path} must hold a JSON object from id to row with at least one row")
    return rows


def _field(row: object, field: str, name: str) -> str:
    value = row.get(field) if isinstance(row, dict) else None
    if not isinstance(value, str):
        raise DataError(f"problem {name}: field {field!r} must be text, got {json.dumps(value)[:80]}")
    return value


def _category(row: dict[str, Any]) -> str:
    """The first reasoning skill named; empty where there is none."""
    skills = row.get("skill")
    return str(skills[0]) if isinstance(skills, list) and skills else ""
