"""Functions: read values off a graph, or slopes, zeros and formulas off two straight lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS
from rethinker.data.gym.draws import order, pick, whole, wholes
from rethinker.data.gym.options import Options, options
from rethinker.data.gym.plane import QUADRANT, Plane, dotted_line
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.types import Image

_TOP = QUADRANT.high
_REACH = 4
_WHOLE_PLANE = Plane(low=-_REACH, high=_REACH, origin=(77, 62), unit=14)
_OVER = 0.25
"""How far a line is drawn past the rules, in units."""


@dataclass(frozen=True, slots=True)
class _Line:
    slope: int
    start: int

    def at(self, x: int) -> int:
        return self.slope * x + self.start

    @property
    def formula(self) -> str:
        times = {1: "x", -1: "-x"}.get(self.slope, f"{self.slope}x")
        return f"y={times}{self.start:+d}" if self.start else f"y={times}"

    @property
    def look(self) -> str:
        return f"y={self.start} at x=0, slope {self.slope}"

    def meets(self, other: _Line) -> int | None:
        """The whole x at which two lines meet within the picture."""
        steeper = self.slope - other.slope
        if steeper == 0 or (other.start - self.start) % steeper:
            return None
        x = (other.start - self.start) // steeper
        return x if abs(x) <= _REACH and abs(self.at(x)) <= _REACH else None


_LINES = tuple(_Line(slope, start) for slope in (-3, -2, -1, 1, 2, 3) for start in range(-_REACH, _REACH + 1))


class Functions(Family):
    """Level 1: a value of a graph; 2: a sum, a step or where it is highest; 3: two lines: slope, zero, value, where
    they meet; 4: two lines: which formula (multiple choice).
    """

    name: ClassVar[str] = "functions"
    category: ClassVar[str] = "functions"
    levels: ClassVar[int] = 4

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw a graph through whole points, or two lines, and a question."""
        if level <= 2:
            return _graph(rng, ("value",) if level == 1 else ("sum", "step", "highest"))
        return _two_lines(rng, formula=level == 4)


def _graph(rng: np.random.Generator, asks: tuple[str, ...]) -> Sketch:
    ys = wholes(rng, 0, _TOP, _TOP + 1)
    ask = pick(rng, asks)
    if ask == "highest":
        ys = _with_one_peak(ys, whole(rng, 0, _TOP))
    first, second = sorted(order(rng, range(_TOP + 1), 2))
    colour = COLOURS[pick(rng, ("red", "blue", "green"))]
    question, work, answer = _ask_graph(ask, ys, first, second)

    def paint() -> Scene:
        canvas = QUADRANT.ruled()
        dotted_line(canvas, [QUADRANT.at(x, y) for x, y in enumerate(ys)], colour)
        return _scene(
            canvas.image(),
            question=question,
            look=", ".join(f"f({x})={y}" for x, y in enumerate(ys)) + ".",
            work=work,
            answer=str(answer),
        )

    return Sketch(key=f"{question}|{ys}", paint=paint)


def _with_one_peak(ys: tuple[int, ...], peak: int) -> tuple[int, ...]:
    """The values with the highest at one place only."""
    return tuple(_TOP if x == peak else min(y, _TOP - 1) for x, y in enumerate(ys))


def _ask_graph(ask: str, ys: tuple[int, ...], first: int, second: int) -> tuple[str, str, int]:
    """The question, its working and its answer."""
    if ask == "value":
        return f"What is f({first})?", f"f({first})={ys[first]}.", ys[first]
    if ask == "highest":
        peak = ys.index(max(ys))
        return "For which x is f(x) highest?", f"Highest: f({peak})={max(ys)}. x={peak}.", peak
    if ask == "sum":
        total = ys[first] + ys[second]
        return f"What is f({first})+f({second})?", f"{ys[first]}+{ys[second]}={total}.", total
    change = ys[second] - ys[first]
    return f"What is f({second})-f({first})?", f"{ys[second]}-{ys[first]}={change}.", change


def _two_lines(rng: np.random.Generator, *, formula: bool) -> Sketch:
    asked, other = order(rng, _LINES, 2)
    colour, other_colour = order(rng, ("red", "blue", "green"), 2)
    listed: Options | None = None
    if formula:
        listed = options(rng, asked.formula, [line.formula for line in _mistaken(asked)])
        question = f"Which is the {colour} line? {listed.listed}"
        work, answer = f"{asked.look}: {listed.named}", listed.letter
    else:
        question, work, answer = _ask_line(pick(rng, _possible(asked, other)), asked, other, colour, rng)
    drawn = sorted(((colour, asked), (other_colour, other)), key=lambda pair: tuple(COLOURS).index(pair[0]))

    def paint() -> Scene:
        return _scene(
            _paint_lines(drawn),
            question=question,
            look=" ".join(f"{name}: {line.look}." for name, line in drawn),
            work=work,
            answer=answer,
            listed=listed,
        )

    return Sketch(key=f"{question}|{drawn}", paint=paint)


def _mistaken(line: _Line) -> list[_Line]:
    """Lines a slip would name: signs turned, slope and start exchanged, one step beside."""
    slope, start = line.slope, line.start
    swapped = [_Line(start, slope)] if start else []
    signs = [_Line(-slope, start), _Line(slope, -start), _Line(-slope, -start)]
    return [*signs, *swapped, _Line(slope, start + 1), _Line(slope, start - 1)]


def _possible(asked: _Line, other: _Line) -> tuple[str, ...]:
    """What can be asked so that the answer is a whole number seen in the picture."""
    zero = ("zero",) if asked.start % asked.slope == 0 else ()
    meet = ("meet",) if asked.meets(other) is not None else ()
    return ("slope", "value", *zero, *meet)


def _ask_line(ask: str, asked: _Line, other: _Line, colour: str, rng: np.random.Generator) -> tuple[str, str, str]:
    """The question, its working and its answer."""
    slope, start = asked.slope, asked.start
    if ask == "slope":
        rise = f"from {start} at x=0 to {asked.at(1)} at x=1"
        return (
            f"What is the slope of the {colour} line?",
            f"{rise}: {asked.at(1)}-{_bracketed(start)}={slope}.",
            str(slope),
        )
    if ask == "zero":
        x = -start // slope
        return f"At which x does the {colour} line cross y=0?", f"{slope}*x={-start}. x={x}.", str(x)
    if ask == "meet":
        meeting = asked.meets(other)
        assert meeting is not None
        steeper, below = slope - other.slope, other.start - start
        return "At which x do the lines meet?", f"{steeper}*x={below}. x={meeting}.", str(meeting)
    x = pick(rng, [x for x in range(-_REACH, _REACH + 1) if x and abs(asked.at(x)) <= _REACH])
    work = f"{slope}*{_bracketed(x)}{start:+d}={asked.at(x)}."
    return f"What is y on the {colour} line at x={x}?", work, str(asked.at(x))


def _bracketed(number: int) -> str:
    return f"({number})" if number < 0 else str(number)


def _scene(image: Image, *, question: str, look: str, work: str, answer: str, listed: Options | None = None) -> Scene:
    return Scene(
        images=(image,),
        question=f"<image>{question}",
        answer=answer,
        verifier="choice" if listed else "number",
        choices=listed.texts if listed else (),
        look=look,
        work=work,
    )


def _paint_lines(drawn: list[tuple[str, _Line]]) -> Image:
    canvas = _WHOLE_PLANE.ruled()
    most = _REACH + _OVER
    for name, line in drawn:
        ends = sorted((-most - line.start, most - line.start), key=lambda rise: rise / line.slope)
        xs = (max(-most, ends[0] / line.slope), min(most, ends[1] / line.slope))
        canvas.line([_WHOLE_PLANE.at(x, line.slope * x + line.start) for x in xs], COLOURS[name], 1.8)
    return canvas.image()
