"""A ruled plane with numbered axes: the ground of function graphs and line charts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from rethinker.data.gym.canvas import FAINT, INK, Canvas, Colour, Point

SIDE = 140
"""Pixels."""
_NUMBER = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """The square from `low` to `high` both ways; `origin` is where (0, 0) lies and `unit` how wide 1 is, in pixels."""

    low: int
    high: int
    origin: Point
    unit: float

    def at(self, x: float, y: float) -> Point:
        """Where a point of the plane lies in the picture."""
        return (self.origin[0] + x * self.unit, self.origin[1] - y * self.unit)

    def ruled(self) -> Canvas:
        """A canvas with rules at every unit and numbers at its left and low edges."""
        return _ground(self).copy()


@functools.cache
def _ground(plane: Plane) -> Canvas:
    canvas = Canvas(SIDE, SIDE)
    low, high = plane.low, plane.high
    for number in sorted(range(low, high + 1), key=lambda number: number == 0):  # the axes lie over the rules
        colour = FAINT if number else INK
        canvas.line([plane.at(number, low), plane.at(number, high)], colour)
        canvas.line([plane.at(low, number), plane.at(high, number)], colour)
    for number in range(low, high + 1):
        x, y = plane.at(number, low)
        canvas.text((x, y + 10), str(number), _NUMBER)
        x, y = plane.at(low, number)
        canvas.text((x - 10, y), str(number), _NUMBER)
    return canvas


QUADRANT = Plane(low=0, high=6, origin=(20, 122), unit=19)
"""0 to 6 both ways."""


def dotted_line(canvas: Canvas, points: Sequence[Point], colour: Colour, width: float = 1.8) -> None:
    """A line through `points`, each of them marked."""
    canvas.line(points, colour, width)
    for point in points:
        canvas.disc(point, 1.4 * width, colour)
