"""Which column of a row holds what, and its fields checked one by one, for readers of every format.

A field of a JSON object is a column here too. Messages name the column and what was expected; the reader adds the file
and the row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from rethinker.data.encoded import HALF_PAIR, encoded_images
from rethinker.data.rows import Row, list_options, make_row, option_letter, unbox
from rethinker.errors import ColumnError, DatasetError

Fields = Mapping[str, Any]
"""One row as the file holds it: column → value."""

VERIFIERS = ("number", "choice", "latex", "text", "list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names that may hold each thing; the first of them that holds something in a row does. No name: it is not read.

    Attributes:
        question: Text, with an `<image>` mark where each image belongs, or with none at all.
        answer: Text or a number; a `\\boxed{}` around it is taken off.
        images: One image or a list (`encoded.encoded_images`).
        choices: The options' texts, where the question does not list them itself.
    """

    question: tuple[str, ...] = ("question", "problem")
    answer: tuple[str, ...] = ("answer",)
    images: tuple[str, ...] = ("images", "image")
    choices: tuple[str, ...] = ("choices", "options")
    id: tuple[str, ...] = ("id", "qid")
    category: tuple[str, ...] = ("category",)
    verifier: tuple[str, ...] = ("verifier",)
    source: tuple[str, ...] = ("source",)

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return frozenset(name for field in fields(self) for name in getattr(self, field.name))

    def named(self, **columns: str) -> Columns:
        """These names, but for fields that are given one; an empty one is none."""
        return replace(self, **{field: (name,) for field, name in columns.items() if name})

    def check(self, present: Collection[str], file: Path) -> None:
        """See that a file has the columns without which there is no problem, and those that were named.

        Raises:
            DatasetError: it lacks one of them.
        """
        for field in fields(self):
            names: tuple[str, ...] = getattr(self, field.name)
            needed = field.name in ("question", "answer") or names != getattr(USUAL, field.name)
            if names and needed and not set(names) & set(present):
                raise DatasetError(
                    f"{file}: no column {' or '.join(map(repr, names))}, expected to hold the {field.name}; it has "
                    f"{', '.join(present)}: name the right one in data.columns.{field.name}, or by `--columns "
                    f"{field.name}=…` of `rethinker data` (`--with-columns` for what `overlap` compares with)"
                )

    def row(self, found: Fields, *, id: str, folder: Path, source: str) -> Row:  # noqa: A002 (the field's name)
        """Read one row.

        Args:
            found: The row's fields.
            id: The row's id, own or given.
            folder: What image paths are relative to.
            source: Where it comes from, for a row that does not say.

        Raises:
            DataError: a column is missing or holds what was not expected, or what they hold does not fit together.
        """
        choices, answer = texts(found, self.choices), filled(found, self.answer)
        verifier = text(found, self.verifier)
        if verifier and verifier not in VERIFIERS:
            raise ColumnError(f"verifier {verifier!r} is unknown; use one of {', '.join(VERIFIERS)}", self.verifier[0])
        name, images = pick(found, self.images)
        return make_row(
            id=id,
            images=encoded_images(images, folder=folder, column=name),
            question=filled(found, self.question) + list_options(choices),
            answer=option_letter(unbox(answer), choices) if choices and answer else answer,
            verifier=verifier,
            choices=tuple(choices),
            category=text(found, self.category),
            source=text(found, self.source) or source,
            question_column=pick(found, self.question)[0],
            answer_column=pick(found, self.answer)[0],
        )


USUAL = Columns()
"""The names that data sets of this kind mostly use."""

QUESTIONS = replace(USUAL, answer=(), choices=(), verifier=(), category=(), source=())
"""What is asked, and no more: evaluation sets may hide their answers."""


def pick(found: Fields, names: tuple[str, ...]) -> tuple[str, object]:
    """The first of the names that holds something, and what; the first name and None where none does.

    Null, empty text and an empty list are nothing.
    """
    nothing = next(iter(names), ""), None
    return next(((name, found[name]) for name in names if found.get(name) not in (None, "", [])), nothing)


def text(found: Fields, names: tuple[str, ...]) -> str:
    """A column as text; numbers are written out, and nothing is empty text.

    Raises:
        DataError: it holds neither text nor a number.
    """
    name, value = pick(found, names)
    return "" if value is None else _as_text(value, name)


def filled(found: Fields, names: tuple[str, ...]) -> str:
    """As `text`, for a column without which there is no problem, where one is read at all.

    Raises:
        DataError: it is missing or empty, or holds neither text nor a number.
    """
    value = text(found, names)
    if names and not value.strip():
        raise ColumnError("expected text or a number, got nothing", *names)
    return value


def texts(found: Fields, names: tuple[str, ...]) -> list[str]:
    """A column that holds one text, a list of texts, or nothing.

    Raises:
        DataError: it holds anything else.
    """
    name, value = pick(found, names)
    if value is None:
        return []
    return [_as_text(each, name) for each in (value if isinstance(value, list) else [value])]


def _as_text(value: object, name: str) -> str:
    finite = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    if isinstance(value, bool) or not finite:
        shown = json.dumps(value, default=lambda unknown: type(unknown).__name__)[:80]
        raise ColumnError(f"expected text or a number, got {shown}", name)
    if isinstance(value, str) and (half := HALF_PAIR.search(value)):
        raise ColumnError(f"character {half.start() + 1} is half a surrogate pair, which no text can hold", name)
    return value if isinstance(value, str) else str(value)
