"""Tables of numbers: look one up, add some, compare rows or columns."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import FAINT, INK, Canvas, Colour, Point
from rethinker.data.gym.draws import order, pick, whole, wholes
from rethinker.data.gym.options import Options, options
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.types import Image

_PEOPLE = ("Ann", "Ben", "Eve", "Ida", "Max", "Tom")
_DAYS = ("Mon", "Tue", "Wed")
_ROW, _COLUMN, _SIZE = 28, 42, 12
_HEAD: Colour = (236, 239, 245)


@dataclass(frozen=True, slots=True)
class _Table:
    people: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]

    def column(self, day: int) -> tuple[int, ...]:
        return tuple(row[day] for row in self.rows)

    @property
    def look(self) -> str:
        return " ".join(f"{name}: {', '.join(map(str, row))}." for name, row in zip(self.people, self.rows))

    def paint(self) -> Image:
        canvas = _ground(len(self.rows)).copy()
        for number, (name, row) in enumerate(zip(self.people, self.rows), start=1):
            for place, cell in enumerate((name, *row)):
                canvas.text(_middle(place, number), str(cell), _SIZE)
        return canvas.image()


@dataclass(frozen=True, slots=True)
class _Level:
    rows: int
    top: int
    asks: tuple[str, ...]


_LEVELS = (_Level(3, 9, ("cell",)), _Level(4, 9, ("row", "column", "two")), _Level(5, 20, ("most", "apart")))


class Tables(Family):
    """Level 1: a cell of 3 rows; 2: the sum of a row, a column or two cells of 4 rows; 3: 5 rows, numbers up to 20:
    who has most in all (multiple choice), how far two days' sums are apart.
    """

    name: ClassVar[str] = "tables"
    category: ClassVar[str] = "tables"
    levels: ClassVar[int] = len(_LEVELS)

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw names, numbers and a question."""
        spec = _LEVELS[level - 1]
        ask = pick(rng, spec.asks)
        cells = wholes(rng, 1, spec.top, spec.rows * len(_DAYS))
        rows = tuple(cells[start : start + len(_DAYS)] for start in range(0, len(cells), len(_DAYS)))
        table = _Table(order(rng, _PEOPLE, spec.rows), rows)
        if ask == "most":
            return _most(rng, table)
        question, work, answer = _question(ask, table, whole(rng, 0, spec.rows - 1), order(rng, range(len(_DAYS)), 2))
        return _sketch(table, question, work, str(answer))


def _question(ask: str, table: _Table, person: int, days: tuple[int, ...]) -> tuple[str, str, int]:
    """The question, its working and its answer."""
    name, row = table.people[person], table.rows[person]
    first, second = days
    if ask == "cell":
        return f"What does {name} have on {_DAYS[first]}?", f"{name}, {_DAYS[first]}: {row[first]}.", row[first]
    if ask == "two":
        early, late = sorted(days)
        days_named = f"{_DAYS[early]} and {_DAYS[late]}"
        work, total = _sum((row[early], row[late]))
        return f"What does {name} have on {days_named} together?", f"{work}.", total
    if ask == "row":
        work, total = _sum(row)
        return f"What does {name} have in all?", f"{work}.", total
    work, total = _sum(table.column(first))
    if ask == "column":
        return f"What is the sum on {_DAYS[first]}?", f"{work}.", total
    second_work, second_total = _sum(table.column(second))
    high, low = max(total, second_total), min(total, second_total)
    question = f"How far apart are the sums on {_DAYS[first]} and {_DAYS[second]}?"
    return question, f"{work}. {second_work}. {high}-{low}={high - low}.", high - low


def _most(rng: np.random.Generator, table: _Table) -> Sketch:
    """Ask for the one with the highest sum; where several have it, the first gets one more on the first day."""
    sums = [sum(row) for row in table.rows]
    first = sums.index(max(sums))
    if sums.count(max(sums)) > 1:
        rows = [list(row) for row in table.rows]
        rows[first][0] += 1
        table = _Table(table.people, tuple(tuple(row) for row in rows))
    right = table.people[first]
    listed = options(rng, right, table.people)
    work = ". ".join(f"{name}: {_sum(row)[0]}" for name, row in zip(table.people, table.rows))
    return _sketch(table, f"Who has most in all? {listed.listed}", f"{work}. {listed.named}", listed.letter, listed)


def _sketch(table: _Table, question: str, work: str, answer: str, listed: Options | None = None) -> Sketch:
    def paint() -> Scene:
        return Scene(
            images=(table.paint(),),
            question=f"<image>{question}",
            answer=answer,
            verifier="choice" if listed else "number",
            choices=listed.texts if listed else (),
            look=table.look,
            work=work,
        )

    return Sketch(key=f"{question}|{table}", paint=paint)


def _sum(numbers: tuple[int, ...]) -> tuple[str, int]:
    return f"{'+'.join(map(str, numbers))}={sum(numbers)}", sum(numbers)


@functools.cache
def _ground(rows: int) -> Canvas:
    """An empty table with the days at its head."""
    width, height = (len(_DAYS) + 1) * _COLUMN, (rows + 1) * _ROW
    canvas = Canvas(width, height)
    canvas.box(0, 0, width, _ROW, _HEAD)
    canvas.box(0, 0, _COLUMN, height, _HEAD)
    for line in range(1, rows + 1):
        canvas.line([(0, line * _ROW), (width, line * _ROW)], INK if line == 1 else FAINT)
    canvas.line([(_COLUMN, 0), (_COLUMN, height)], INK)
    for place, day in enumerate(_DAYS, start=1):
        canvas.text(_middle(place, 0), day, _SIZE)
    return canvas


def _middle(column: int, row: int) -> Point:
    return ((column + 0.5) * _COLUMN, (row + 0.5) * _ROW)
