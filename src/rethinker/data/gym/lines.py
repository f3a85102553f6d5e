"""Line charts: read one series, compare two."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS
from rethinker.data.gym.draws import order, whole, wholes
from rethinker.data.gym.options import Options, options
from rethinker.data.gym.plane import QUADRANT, dotted_line
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.types import Image

_TOP = QUADRANT.high
_DAYS = range(_TOP + 1)
_WIDTHS = (3.0, 1.4)
"""The line beneath is the wider one, so that it can be followed where both run together."""

_Series = tuple[str, tuple[int, ...]]
_Ask = tuple[str, str, int]
"""Question, working, answer."""


class Lines(Family):
    """Level 1: two days of one line added or compared; 2: two lines compared on a day; 3: on which day they are
    farthest apart (multiple choice), or how far their sums are apart.
    """

    name: ClassVar[str] = "lines"
    category: ClassVar[str] = "charts"
    levels: ClassVar[int] = 3

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw one or two series of seven days, and a question."""
        names = order(rng, ("red", "blue", "green"), 1 if level == 1 else 2)
        series = tuple((name, wholes(rng, 0, _TOP, len(_DAYS))) for name in names)
        if level == 1:
            return _sketch(series, _two_days(rng, series[0]))
        if level == 2:
            return _sketch(series, _one_day(rng, *series))
        return _farthest(rng, *series) if rng.random() < 0.5 else _sketch(series, _sums(*series))


def _two_days(rng: np.random.Generator, series: _Series) -> _Ask:
    first, second = sorted(order(rng, _DAYS, 2))
    x, y = series[1][first], series[1][second]
    if rng.random() < 0.5:
        return f"What is the sum of days {first} and {second}?", f"{x}+{y}={x + y}.", x + y
    return f"How far apart are the values of days {first} and {second}?", _apart(x, y), abs(x - y)


def _one_day(rng: np.random.Generator, first: _Series, second: _Series) -> _Ask:
    day = whole(rng, 0, _TOP)
    x, y = first[1][day], second[1][day]
    if rng.random() < 0.5:
        return f"What is the sum of the two lines on day {day}?", f"{x}+{y}={x + y}.", x + y
    return f"How far apart are the lines on day {day}?", _apart(x, y), abs(x - y)


def _sums(first: _Series, second: _Series) -> _Ask:
    x, y = sum(first[1]), sum(second[1])
    work = " ".join(f"{name}: {'+'.join(map(str, values))}={sum(values)}." for name, values in (first, second))
    return "How far apart are the sums of the two lines?", f"{work} {_apart(x, y)}", abs(x - y)


def _farthest(rng: np.random.Generator, first: _Series, second: _Series) -> Sketch:
    """Where several days are farthest apart, all but the first of them are drawn together by one."""
    gaps = [abs(x - y) for x, y in zip(first[1], second[1])]
    day = gaps.index(max(gaps, default=0))
    if gaps[day] == 0:
        return _sketch((first, second), _sums(first, second))
    values = list(second[1])
    for other in _DAYS:
        if other != day and gaps[other] == gaps[day]:
            values[other] += 1 if first[1][other] > values[other] else -1
            gaps[other] -= 1
    series = (first, (second[0], tuple(values)))
    listed = options(rng, f"day {day}", [f"day {other}" for other in _DAYS])
    question = f"On which day are the lines farthest apart? {listed.listed}"
    return _sketch(series, (question, f"Apart: {', '.join(map(str, gaps))}. {listed.named}", gaps[day]), listed)


def _apart(x: int, y: int) -> str:
    return f"{max(x, y)}-{min(x, y)}={abs(x - y)}."


def _sketch(series: tuple[_Series, ...], ask: _Ask, listed: Options | None = None) -> Sketch:
    question, work, answer = ask

    def paint() -> Scene:
        return Scene(
            images=(_paint(series),),
            question=f"<image>{question}",
            answer=listed.letter if listed else str(answer),
            verifier="choice" if listed else "number",
            choices=listed.texts if listed else (),
            look=" ".join(f"{name}: {', '.join(map(str, values))}." for name, values in series),
            work=work,
        )

    return Sketch(key=f"{question}|{series}", paint=paint)


def _paint(series: tuple[_Series, ...]) -> Image:
    canvas = QUADRANT.ruled()
    for (name, values), width in zip(series, _WIDTHS, strict=False):
        dotted_line(canvas, [QUADRANT.at(day, value) for day, value in zip(_DAYS, values)], COLOURS[name], width)
    return canvas.image()
