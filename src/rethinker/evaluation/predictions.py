"""Reads a file of predictions, `{"id": …, "response": …}` a line. What cannot be scored is counted, with its line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from rethinker.errors import DatasetError
from rethinker.evaluation.benchmark import Question

SHOWN = 80
"""Characters of a row in a message."""


class Fault(StrEnum):
    """What is wrong with a file of predictions."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    DUPLICATE = "duplicate"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """One such row.

    Attributes:
        line: Its line in the file of predictions, from 1; None for a question that has no prediction.
        what: Its id, or how the line begins, and what is wrong with it.
    """

    line: int | None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a file holds for some questions.

    Attributes:
        responses: By id, of known ids alone; of several for one id the first.
        faults: What is not scored, by kind.
    """

    responses: dict[str, str]
    faults: dict[Fault, list[Faulty]] = field(default_factory=lambda: {fault: [] for fault in Fault})

    @property
    def whole(self) -> bool:
        """Whether there is exactly one prediction for every question."""
        return not any(self.faults.values())


def read_predictions(path: Path, questions: list[Question]) -> Predictions:
    """Read the predictions for a benchmark's questions; .gz is unpacked.

    Raises:
        DatasetError: the file cannot be read, or is empty.
    """
    known = {question.id for question in questions}
    read = Predictions(responses={})
    lines = 0
    for number, line in _lines(path):
        lines += 1
        row = _row(line)
        if isinstance(row, str):
            read.faults[Fault.MALFORMED].append(Faulty(line=number, what=row))
            continue
        name, response = row
        if name not in known:
            read.faults[Fault.UNKNOWN].append(Faulty(line=number, what=f"id {name[:SHOWN]!r} is of no question"))
        elif name in read.responses:
            read.faults[Fault.DUPLICATE].append(Faulty(line=number, what=f"id {name!r} stands in an earlier line too"))
        else:
            read.responses[name] = response
    if not lines:
        raise DatasetError(f'{path} is empty; it needs one {{"id": …, "response": …}} a line')
    for question in questions:
        if question.id not in read.responses:
            read.faults[Fault.MISSING].append(Faulty(line=None, what=f"id {question.id!r} has no prediction"))
    return read


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"predictions {path} cannot be read: {error}") from error


def _row(line: bytes) -> tuple[str, str] | str:
    """Id and response of a line, else what is wrong with it."""
    shown = repr(line.strip()[:SHOWN].decode("utf-8", "replace"))
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        return f"{shown} is not JSON: {error}"
    if not isinstance(row, dict):
        return f"{shown} is not an object"
    name, response = row.get("id"), row.get("response")
    if isinstance(name, bool) or not isinstance(name, str | int) or not isinstance(response, str):
        return f"{shown} needs a text or whole number as its id and a text as its response"
    return str(name), response
