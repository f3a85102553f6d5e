"""Pie charts: shares in percent by colour, added, completed, or turned into numbers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS, INK, Canvas, Colour, arc, pale, polar
from rethinker.data.gym.draws import order, parts, pick, whole
from rethinker.data.gym.options import Options, near, options
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.types import Image

_SIDE = 112
_NAMES = tuple(COLOURS)
_MISSING = "x"
_LEAST = 10
"""Percent; a sector must hold its number."""
_TOTALS = (20, 40, 60, 80, 200)


class Pie(Family):
    """Level 1: two of four shares added or compared, multiples of 5 %; 2: the missing share, any percent; 3: how many
    of so many (multiple choice).
    """

    name: ClassVar[str] = "pie"
    category: ClassVar[str] = "charts"
    levels: ClassVar[int] = 3

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw the shares of four colours, and a question."""
        return (_two, _missing, _number)[level - 1](rng)


def _two(rng: np.random.Generator) -> Sketch:
    shares = _fives(rng)
    first, second = sorted(order(rng, range(4), 2))
    x, y = shares[first], shares[second]
    if rng.random() < 0.5:
        question, answer = f"What are {_NAMES[first]} and {_NAMES[second]} together?", x + y
        work = f"{x}+{y}={answer}."
    else:
        question, answer = f"How far apart are {_NAMES[first]} and {_NAMES[second]}?", abs(x - y)
        work = f"{max(x, y)}-{min(x, y)}={answer}."
    return _sketch(rng, shares, tuple(map(str, shares)), f"{question} Answer in percent.", work, answer)


def _missing(rng: np.random.Generator) -> Sketch:
    shares = parts(rng, 100, 4, _LEAST)
    missing = whole(rng, 0, 3)
    labels = tuple(_MISSING if index == missing else str(share) for index, share in enumerate(shares))
    known = [share for index, share in enumerate(shares) if index != missing]
    work = f"{'+'.join(map(str, known))}={sum(known)}. 100-{sum(known)}={shares[missing]}."
    return _sketch(rng, shares, labels, f"How many percent is {_MISSING}?", work, shares[missing])


def _number(rng: np.random.Generator) -> Sketch:
    shares, total = _fives(rng), pick(rng, _TOTALS)
    asked = whole(rng, 0, 3)
    answer = total * shares[asked] // 100
    listed = options(rng, str(answer), near(answer, total // 20))
    question = f"The whole is {total}. The numbers are percent. How many are {_NAMES[asked]}? {listed.listed}"
    work = f"{shares[asked]}/100*{total}={answer}. {listed.named}"
    return _sketch(rng, shares, tuple(map(str, shares)), question, work, answer, listed)


def _fives(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(5 * part for part in parts(rng, 20, 4, _LEAST // 5))


def _sketch(
    rng: np.random.Generator,
    shares: tuple[int, ...],
    labels: tuple[str, ...],
    question: str,
    work: str,
    answer: int,
    listed: Options | None = None,
) -> Sketch:
    """Shares are told in the order of the palette; how they follow round the pie is mere looks."""
    placed = order(rng, range(4))
    turn = whole(rng, 0, 359)

    def paint() -> Scene:
        sectors = [(shares[index], labels[index], COLOURS[_NAMES[index]]) for index in placed]
        return Scene(
            images=(_paint(sectors, turn),),
            question=f"<image>{question}",
            answer=listed.letter if listed else str(answer),
            verifier="choice" if listed else "number",
            choices=listed.texts if listed else (),
            look=", ".join(f"{name} {label}" for name, label in zip(_NAMES, labels)) + ".",
            work=work,
        )

    return Sketch(key=f"{question}|{labels}", paint=paint)


def _paint(sectors: list[tuple[int, str, Colour]], turn: int) -> Image:
    canvas = Canvas(_SIDE, _SIDE)
    centre = (_SIDE / 2, _SIDE / 2)
    start = float(turn)
    for share, label, colour in sectors:
        end = start + 3.6 * share
        canvas.polygon([centre, *arc(centre, 52, (start, end))], pale(colour), INK)
        canvas.text(polar(centre, 35, (start + end) / 2), label, 11)
        start = end
    return canvas.image()
