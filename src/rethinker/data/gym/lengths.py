"""Lengths: a way through labelled towns, a perimeter, the sides of an L."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS, FAINT, INK, PAPER, Canvas, Point
from rethinker.data.gym.draws import pick, whole, wholes
from rethinker.data.gym.figures import (
    ACCENTS,
    MISSING,
    angles_by_sides,
    ell,
    painted,
    triangle_by_angles,
    turned,
)
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.types import Image

_TOWNS = "ABCDE"


class Lengths(Family):
    """Level 1: a way along three or four roads; 2: the perimeter of a triangle or rectangle; 3: the perimeter of an L,
    or a side of it.
    """

    name: ClassVar[str] = "lengths"
    category: ClassVar[str] = "geometry"
    levels: ClassVar[int] = 3

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw a labelled figure and ask for a length."""
        return (_way, _perimeter, _ell)[level - 1](rng)


def _way(rng: np.random.Generator) -> Sketch:
    roads = wholes(rng, 1, 9, 4)
    start, end = pick(rng, ((0, 4), (0, 3), (1, 4)))
    towns = [(18 + 33 * index, 84 if index % 2 else 28) for index in range(5)]
    places = [(x + dx, y + dy) for (x, y), (dx, dy) in zip(towns, rng.uniform(-6, 6, (5, 2)).round(2).tolist())]
    way = roads[start:end]
    question = f"How long is the way from {_TOWNS[start]} to {_TOWNS[end]}?"
    look = ", ".join(f"{_TOWNS[i]}-{_TOWNS[i + 1]} is {road}" for i, road in enumerate(roads))

    def paint() -> Scene:
        return _scene(
            _paint_way(places, roads),
            question=question,
            look=f"{look}.",
            work=f"{_TOWNS[start]} to {_TOWNS[end]}: {_sum(way)}.",
            answer=sum(way),
        )

    return Sketch(key=f"{question}|{roads}", paint=paint)


def _perimeter(rng: np.random.Generator) -> Sketch:
    name, corners, sides, shown = (_rectangle if rng.random() < 0.5 else _triangle)(rng)
    labels = tuple(map(str, sides[:shown]))
    points = turned(rng, corners, 10)
    colour = COLOURS[pick(rng, ACCENTS)]

    def paint() -> Scene:
        return _scene(
            painted(points, labels, colour),
            question=f"What is the perimeter of the {name}?",
            look=f"{name[0].upper()}{name[1:]}: {', '.join(labels)}.",
            work=f"Perimeter: {_sum(sides)}.",
            answer=sum(sides),
        )

    return Sketch(key=f"{name}|{labels}", paint=paint)


_Polygon = tuple[str, list[Point], tuple[int, ...], int]
"""Name, corners, lengths of the sides, how many of the sides are labelled."""


def _rectangle(rng: np.random.Generator) -> _Polygon:
    wide = whole(rng, 4, 40)
    high = whole(rng, -(-2 * wide // 5), wide * 9 // 10)
    return "rectangle", [(0, 0), (wide, 0), (wide, high), (0, high)], (wide, high, wide, high), 2


def _triangle(rng: np.random.Generator) -> _Polygon:
    sides = wholes(rng, 5, 25, 3)
    while min(angles_by_sides(sides)) < 30:
        sides = wholes(rng, 5, 25, 3)
    # The base comes first: the angles at its ends lie opposite to the two other sides.
    _, at_start, at_end = angles_by_sides(sides)
    return "triangle", triangle_by_angles(at_start, at_end), sides, 3


def _ell(rng: np.random.Generator) -> Sketch:
    width, height = wholes(rng, 6, 14, 2)
    top, side = whole(rng, 2, width - 3), whole(rng, 2, height - 3)
    across, down = width - top, height - side
    # Sides in the order of the corners of `ell`.
    named = [str(width), str(side), "", "", str(top), str(height)]
    ask = whole(rng, 0, 2)
    if ask == 0:
        question, answer = "What is the perimeter?", 2 * (width + height)
        sides = (width, side, across, down, top, height)
        work = f"Other sides: {width}-{top}={across}, {height}-{side}={down}. Perimeter: {_sum(sides)}."
    else:
        question, answer = f"How long is {MISSING}?", across if ask == 1 else down
        named[ask + 1] = MISSING
        long, short = (width, top) if ask == 1 else (height, side)
        work = f"{MISSING}={long}-{short}={answer}."
    place = f" {MISSING} is {'level' if ask == 1 else 'upright'}." if ask else ""
    points = turned(rng, ell(width, height, top, side))
    colour = COLOURS[pick(rng, ACCENTS)]

    def paint() -> Scene:
        return _scene(
            painted(points, named, colour),
            question=question,
            look=f"Level: {width}, {top}. Upright: {height}, {side}.{place}",
            work=work,
            answer=answer,
        )

    return Sketch(key=f"ell|{ask}|{width}|{height}|{top}|{side}", paint=paint)


def _scene(image: Image, *, question: str, look: str, work: str, answer: int) -> Scene:
    return Scene(
        images=(image,),
        question=f"<image>{question}",
        answer=str(answer),
        verifier="number",
        look=look,
        work=work,
    )


def _sum(lengths: tuple[int, ...]) -> str:
    return f"{'+'.join(map(str, lengths))}={sum(lengths)}"


def _paint_way(places: list[Point], roads: tuple[int, ...]) -> Image:
    """Towns as named discs; a road's length stands on it."""
    canvas = Canvas(168, 112)
    canvas.line(places, INK, 1.6)
    for (x0, y0), (x1, y1), road in zip(places, places[1:], roads):
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        canvas.disc(middle, 8, PAPER)
        canvas.text(middle, str(road), 13)
    for place, town in zip(places, _TOWNS):
        canvas.disc(place, 9.5, FAINT, INK)
        canvas.text(place, town, 11)
    return canvas.image()
