"""Clocks: tell the time, shift it, or count the minutes between two clocks."""

from __future__ import annotations

import functools
from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS, FAINT, INK, Canvas, Colour, polar
from rethinker.data.gym.draws import pick, whole
from rethinker.data.gym.options import options
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.types import Image

_SIDE = 112
_ROUND = 720
"""Minutes in which the hour hand goes round."""
_SHIFT = 115
_BETWEEN = 180


class Clock(Family):
    """Level 1: tell the time, in steps of five minutes (multiple choice); 2: the time so many minutes later or
    earlier; 3: the minutes between two clocks that show any minute.
    """

    name: ClassVar[str] = "clock"
    category: ClassVar[str] = "gauges"
    levels: ClassVar[int] = 3

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw one or two times and a question."""
        return (_tell, _shift, _between)[level - 1](rng)


def _tell(rng: np.random.Generator) -> Sketch:
    time = 5 * whole(rng, 0, _ROUND // 5 - 1)
    colour = _hand(rng)
    listed = options(rng, spoken(time), [spoken(wrong) for wrong in _misread(time)])
    question = f"<image>Which time does the clock show? {listed.listed}"

    def paint() -> Scene:
        return Scene(
            images=(_paint(time, colour),),
            question=question,
            answer=listed.letter,
            verifier="choice",
            choices=listed.texts,
            look=_look(time),
            work=listed.named,
        )

    return Sketch(key=f"{question}|{time}", paint=paint)


def _shift(rng: np.random.Generator) -> Sketch:
    time = 5 * whole(rng, 0, _ROUND // 5 - 1)
    minutes = 5 * whole(rng, 1, _SHIFT // 5)
    later = bool(rng.random() < 0.5)
    colour = _hand(rng)
    result = spoken(time + (minutes if later else -minutes))
    when = f"will it be in {minutes} minutes" if later else f"was it {minutes} minutes ago"
    question = f"<image>Which time {when}? Answer like 4:05."

    def paint() -> Scene:
        return Scene(
            images=(_paint(time, colour),),
            question=question,
            answer=result,
            verifier="text",
            look=_look(time),
            work=f"{spoken(time)} {'plus' if later else 'minus'} {minutes} minutes is {result}.",
        )

    return Sketch(key=f"{question}|{time}", paint=paint)


def _between(rng: np.random.Generator) -> Sketch:
    first = whole(rng, 0, _ROUND - 1)
    minutes = whole(rng, 1, _BETWEEN)
    second = (first + minutes) % _ROUND
    colours = _hand(rng), _hand(rng)
    hours, rest = divmod(minutes, 60)
    work = f"{hours}*60+{rest}={minutes}." if hours else f"{minutes} minutes: {minutes}."

    def paint() -> Scene:
        return Scene(
            images=(_paint(first, colours[0]), _paint(second, colours[1])),
            question="<image><image>The second clock is less than 12 hours later. How many minutes later?",
            answer=str(minutes),
            verifier="number",
            look=f"First: {spoken(first)}. Second: {spoken(second)}.",
            work=work,
        )

    return Sketch(key=f"between|{first}|{second}", paint=paint)


def spoken(time: int) -> str:
    """Minutes after twelve as a clock's time, "3:05"."""
    hours, minutes = divmod(time % _ROUND, 60)
    return f"{hours or 12}:{minutes:02d}"


def _misread(time: int) -> list[int]:
    """Times a slip would tell: the hands exchanged, an hour or five minutes beside, half an hour off."""
    hours, minutes = divmod(time, 60)
    exchanged = minutes // 5 * 60 + hours * 5
    return [exchanged, time + 60, time - 60, time + 5, time - 5, time + 30]


def _look(time: int) -> str:
    hours, minutes = divmod(time, 60)
    place = "on" if minutes == 0 else "past"
    return f"Short hand {place} {hours or 12}, long hand on {minutes // 5 or 12}: {spoken(time)}."


def _hand(rng: np.random.Generator) -> Colour:
    return COLOURS[pick(rng, ("red", "blue", "green"))]


def _paint(time: int, colour: Colour) -> Image:
    """The hands on the face; the short one moves on between the hours."""
    canvas, centre = _face().copy(), (_SIDE / 2, _SIDE / 2)
    canvas.line([centre, polar(centre, 22, 90 - time / 2)], INK, 4)
    canvas.line([centre, polar(centre, 34, 90 - 6 * time)], colour, 2)
    canvas.disc(centre, 3.5, INK)
    return canvas.image()


@functools.cache
def _face() -> Canvas:
    """Numbers, and a mark at each minute."""
    canvas, centre = Canvas(_SIDE, _SIDE), (_SIDE / 2, _SIDE / 2)
    canvas.disc(centre, 54, None, INK)
    for minute in range(60):
        direction = 90 - 6 * minute
        inner, shade = (49.5, INK) if minute % 5 == 0 else (51.5, FAINT)
        canvas.line([polar(centre, inner, direction), polar(centre, 53, direction)], shade)
        if minute % 5 == 0:
            canvas.text(polar(centre, 42, direction), str(minute // 5 or 12), 10)
    return canvas
