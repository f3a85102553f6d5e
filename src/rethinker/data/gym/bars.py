"""Bar charts: read a value, add two, or compare two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS, FAINT, INK, Canvas
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.types import Image

_UNIT = 13
_FOOT = 14
_WIDTH = 28


@dataclass(frozen=True, slots=True)
class _Level:
    bars: int
    top: int
    asks: tuple[str, ...]


_LEVELS = (
    _Level(4, 5, ("sum", "difference")),
    _Level(4, 7, ("value", "sum", "difference")),
    _Level(6, 9, ("sum", "difference", "total")),
)


class Bars(Family):
    """Level 1: 4 bars up to 5, two of them added or compared; 2: 4 bars up to 7; 3: 6 bars up to 9, and all added."""

    name: ClassVar[str] = "bars"
    category: ClassVar[str] = "charts"
    levels: ClassVar[int] = len(_LEVELS)

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw values and a question about one, two or all of them."""
        spec = _LEVELS[level - 1]
        values = tuple(int(v) for v in rng.integers(1, spec.top + 1, size=spec.bars))
        colours = tuple(str(c) for c in rng.choice(list(COLOURS), size=spec.bars))
        ask = spec.asks[int(rng.integers(len(spec.asks)))]
        first, second = (int(i) for i in rng.permutation(spec.bars)[:2])
        question, work, answer = _question(ask, values, first, second)

        def paint() -> Scene:
            return Scene(
                images=(_paint(values, colours, spec.top),),
                question=f"<image>{question}",
                answer=str(answer),
                verifier="number",
                look=", ".join(f"{_label(index)} is {value}" for index, value in enumerate(values)) + ".",
                work=work,
            )

        return Sketch(key=f"{question}|{values}", paint=paint)


def _label(index: int) -> str:
    return "ABCDEF"[index]


def _question(ask: str, values: tuple[int, ...], first: int, second: int) -> tuple[str, str, int]:
    """The question, its working and its answer."""
    a, b = _label(first), _label(second)
    x, y = values[first], values[second]
    read = f"{a} is {x}, {b} is {y}."
    if ask == "value":
        return f"What is the value of bar {a}?", f"{a} is {x}.", x
    if ask == "sum":
        return f"What is the sum of bars {a} and {b}?", f"{read} {x}+{y}={x + y}.", x + y
    if ask == "difference":
        low, high = min(x, y), max(x, y)
        return f"How far apart are bars {a} and {b}?", f"{read} {high}-{low}={high - low}.", high - low
    return "What is the sum of all bars?", f"{'+'.join(map(str, values))}={sum(values)}.", sum(values)


def _paint(values: tuple[int, ...], colours: tuple[str, ...], top: int) -> Image:
    """Bars on a ruled ground, a rule at every unit, a label under each bar."""
    rows = -(-(top * _UNIT + _FOOT + 3) // 28) * 28
    width, floor = len(values) * _WIDTH, rows - _FOOT
    canvas = Canvas(width, rows)
    for unit in range(1, top + 1):
        canvas.line([(0, floor - unit * _UNIT), (width, floor - unit * _UNIT)], FAINT)
    for index, (value, colour) in enumerate(zip(values, colours, strict=True)):
        left = index * _WIDTH
        canvas.box(left + 6, floor - value * _UNIT, left + _WIDTH - 6, floor, COLOURS[colour])
        canvas.text((left + _WIDTH / 2, floor + _FOOT / 2 + 0.5), _label(index), 11)
    canvas.line([(0, floor), (width, floor)], INK)
    return canvas.image()
