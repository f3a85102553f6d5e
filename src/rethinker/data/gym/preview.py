"""The gym shown to people: the list of families, and a contact sheet of their problems."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from rethinker.data.gym.catalogue import FAMILIES, GymId, problem
from rethinker.types import IMAGE_MARK, Problem

_CARD = 356
_GAP = 16
_PAD = 12
_LINE = 19
_TEXT, _SMALL, _TITLE = 14.0, 12.0, 19.0
_INK, _MUTED, _RIGHT = (32, 33, 40), (120, 124, 136), (22, 120, 70)
_PAPER, _GROUND, _EDGE = (255, 255, 255), (240, 242, 246), (216, 220, 228)


class CatalogueRow(NamedTuple):
    """A family in the list; `about` says what each level is."""

    name: str
    category: str
    levels: int
    about: str


def catalogue_rows() -> list[CatalogueRow]:
    """Every family, in the catalogue's order."""
    return [
        CatalogueRow(family.name, family.category, family.levels, " ".join((inspect.getdoc(family) or "").split()))
        for family in FAMILIES.values()
    ]


def preview(path: Path, *, families: Sequence[tuple[str, int]] | None = None, columns: int = 4) -> None:
    """Write a contact sheet as PNG: a row of training problems, each with its answer, for every family and level.

    Args:
        families: (family, level) pairs; every level of every family when None.
        columns: Problems in a row.

    Raises:
        DatasetError: a family or level does not exist.
        OSError: the file cannot be written.
    """
    pairs = families or [(name, level) for name in FAMILIES for level in range(1, FAMILIES[name].levels + 1)]
    rows = [_row(family, level, columns) for family, level in pairs]
    width = columns * _CARD + (columns + 1) * _GAP
    sheet = PillowImage.new("RGB", (width, sum(row.height for row in rows) + _GAP), _GROUND)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG")


def _row(family: str, level: int, columns: int) -> PillowImage.Image:
    """A title and one card per problem, all as high as the highest."""
    cards = [
        _Card.of(problem(GymId(family=family, level=level, split="train", index=index))) for index in range(columns)
    ]
    head, high = 44, max(card.height for card in cards)
    row = PillowImage.new("RGB", (columns * _CARD + (columns + 1) * _GAP, head + high), _GROUND)
    draw = ImageDraw.Draw(row)
    draw.text((_GAP, head - 12), f"{family}-{level}", fill=_INK, font=_font(_TITLE), anchor="ls")
    start = _GAP + _font(_TITLE).getlength(f"{family}-{level}") + 10
    draw.text((start, head - 12), FAMILIES[family].category, fill=_MUTED, font=_font(_TEXT), anchor="ls")
    for place, card in enumerate(cards):
        row.paste(card.paint(high), (_GAP + place * (_CARD + _GAP), head))
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """One problem, its question wrapped."""

    pictures: tuple[PillowImage.Image, ...]
    question: tuple[str, ...]
    answer: str

    @classmethod
    def of(cls, shown: Problem) -> _Card:
        text = " ".join(shown.question.replace(IMAGE_MARK, " ").split())
        answer = shown.answer
        if shown.choices:
            answer += f" ({shown.choices[ord(shown.answer) - ord('A')]})"
        return cls(
            pictures=tuple(PillowImage.fromarray(image.pixels) for image in shown.images),
            question=_wrapped(text, _CARD - 2 * _PAD),
            answer=answer,
        )

    @property
    def height(self) -> int:
        """Pixels it needs: pictures, question, answer."""
        high = max((picture.height for picture in self.pictures), default=-_PAD)
        return _PAD + high + _PAD + _LINE * (len(self.question) + 1) + _PAD

    def paint(self, height: int) -> PillowImage.Image:
        """Pictures centred above the question; the answer at the foot."""
        card = PillowImage.new("RGB", (_CARD, height), _PAPER)
        draw = ImageDraw.Draw(card)
        draw.rectangle((0, 0, _CARD - 1, height - 1), outline=_EDGE)
        wide = sum(picture.width for picture in self.pictures) + _PAD * (len(self.pictures) - 1)
        left, high = (_CARD - wide) // 2, max((picture.height for picture in self.pictures), default=-_PAD)
        for picture in self.pictures:
            card.paste(picture, (left, _PAD))
            draw.rectangle((left - 1, _PAD - 1, left + picture.width, _PAD + picture.height), outline=_EDGE)
            left += picture.width + _PAD
        for number, line in enumerate(self.question):
            draw.text((_PAD, 2 * _PAD + high + number * _LINE), line, fill=_INK, font=_font(_TEXT))
        draw.text((_PAD, height - _PAD), self.answer, fill=_RIGHT, font=_font(_TEXT), anchor="ls")
        return card


def _wrapped(text: str, width: int) -> tuple[str, ...]:
    """Lines of whole words, an option's letter beside its text, at most `width` pixels wide where a word allows it."""
    lines = [""]
    for word in re.split(r"(?<!\([A-D]\)) ", text):
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and _font(_TEXT).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return tuple(lines)


@functools.cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
