"""Gauges: read needles on a dial, alone, together, or on two dials of different scales."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS, INK, Canvas, polar
from rethinker.data.gym.draws import order, pick, whole
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.types import Image

_SIDE = 140
_STEPS = (1, 2, 5, 10)
_MARKS = 20
_START, _SWEEP = 225.0, 270.0
"""Direction of 0, and how far the scale goes round clockwise, in degrees."""


@dataclass(frozen=True, slots=True)
class _Dial:
    """A scale from 0 with `step` between its marks, and the mark that each needle points at."""

    step: int
    needles: tuple[tuple[str, int], ...]

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(mark * self.step for _, mark in self.needles)

    @property
    def look(self) -> str:
        shown = ", ".join(f"{name} {mark * self.step}" for name, mark in self.needles)
        return f"0 to {_MARKS * self.step}, marks of {self.step}: {shown}."

    def paint(self, numbered: int) -> Image:
        """The needles on a scale with a number at every so many marks."""
        canvas, centre = _scale(self.step, numbered).copy(), (_SIDE / 2, _SIDE / 2)
        for (name, mark), length in zip(self.needles, (46, 40), strict=False):
            canvas.line([centre, polar(centre, length, _direction(mark))], COLOURS[name], 2)
        canvas.disc(centre, 4, INK)
        return canvas.image()


class Gauge(Family):
    """Level 1: one of two needles, or both added; 2: their difference, fewer numbers; 3: two dials of two scales."""

    name: ClassVar[str] = "gauge"
    category: ClassVar[str] = "gauges"
    levels: ClassVar[int] = 3

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw one dial with two needles or two dials with one each, needles on marks, and a question."""
        if level == 3:
            return _two_dials(rng)
        return _one_dial(
            rng, asks=("read", "sum") if level == 1 else ("difference", "sum"), numbered=2 if level == 1 else 5
        )


def _one_dial(rng: np.random.Generator, *, asks: tuple[str, ...], numbered: int) -> Sketch:
    names = order(rng, ("red", "blue", "green"), 2)
    marks = order(rng, range(_MARKS + 1), 2)
    dial = _Dial(pick(rng, _STEPS), tuple(zip(names, marks)))
    x, y = dial.values
    question, work, answer = {
        "read": (f"What does the {names[0]} needle show?", f"{names[0]}={x}.", x),
        "sum": ("What do both needles show together?", f"{x}+{y}={x + y}.", x + y),
        "difference": ("How far apart are the needles?", f"{max(x, y)}-{min(x, y)}={abs(x - y)}.", abs(x - y)),
    }[pick(rng, asks)]

    def paint() -> Scene:
        return _scene((dial.paint(numbered),), question=question, look=dial.look, work=work, answer=answer)

    return Sketch(key=f"{question}|{dial}", paint=paint)


def _two_dials(rng: np.random.Generator) -> Sketch:
    steps = order(rng, _STEPS, 2)
    names = order(rng, ("red", "blue", "green"), 2)
    first, second = (_Dial(step, ((name, whole(rng, 0, _MARKS)),)) for step, name in zip(steps, names))
    x, y = first.values[0], second.values[0]
    question, work, answer = pick(
        rng,
        (
            ("What do both dials show together?", f"{x}+{y}={x + y}.", x + y),
            ("How far apart are the two values?", f"{max(x, y)}-{min(x, y)}={abs(x - y)}.", abs(x - y)),
        ),
    )

    def paint() -> Scene:
        return _scene(
            (first.paint(5), second.paint(5)),
            question=question,
            look=f"First: {first.look} Second: {second.look}",
            work=work,
            answer=answer,
        )

    return Sketch(key=f"{question}|{first}|{second}", paint=paint)


def _scene(images: tuple[Image, ...], *, question: str, look: str, work: str, answer: int) -> Scene:
    return Scene(
        images=images,
        question=f"{'<image>' * len(images)}{question}",
        answer=str(answer),
        verifier="number",
        look=look,
        work=work,
    )


def _direction(mark: int) -> float:
    return _START - _SWEEP * mark / _MARKS


@functools.cache
def _scale(step: int, numbered: int) -> Canvas:
    canvas, centre = Canvas(_SIDE, _SIDE), (_SIDE / 2, _SIDE / 2)
    canvas.disc(centre, 50, None, INK)
    for mark in range(_MARKS + 1):
        direction, major = _direction(mark), mark % numbered == 0
        canvas.line([polar(centre, 42 if major else 45, direction), polar(centre, 49.5, direction)])
        if major:
            canvas.text(polar(centre, 60, direction), str(mark * step), 9)
    return canvas
