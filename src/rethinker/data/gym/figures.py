"""Figures of geometry: their corners, fitted into a picture, with labels at their sides and corners."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rethinker.data.gym.canvas import INK, Canvas, Colour, Point, pale
from rethinker.types import Image

WIDTH = 168
HEIGHT = 140
_MARGIN = 20
_SIZE = 11
MISSING = "x"
"""How what is asked for is labelled."""
ACCENTS = ("red", "blue", "green")
"""Colours that can be read on white."""


def triangle_by_angles(first: float, second: float) -> list[Point]:
    """Corners of the triangle with two angles (degrees) at the ends of its level base; y upwards."""
    a, b = math.radians(first), math.radians(second)
    side = math.sin(b) / math.sin(a + b)
    return [(0.0, 0.0), (1.0, 0.0), (side * math.cos(a), side * math.sin(a))]


def angles_by_sides(sides: Sequence[int]) -> tuple[float, float, float]:
    """Angles (degrees) opposite to each side of a triangle; sides of no triangle give (0, 0, 0)."""
    a, b, c = sides
    if 2 * max(sides) >= a + b + c:
        return (0.0, 0.0, 0.0)
    return (_opposite(a, b, c), _opposite(b, c, a), _opposite(c, a, b))


def _opposite(side: int, one: int, other: int) -> float:
    return math.degrees(math.acos((one**2 + other**2 - side**2) / (2 * one * other)))


def ell(width: int, height: int, top: int, side: int) -> list[Point]:
    """Corners of an L: a `width` × `height` rectangle that is `top` wide above and `side` high at its low end."""
    return [(0, 0), (width, 0), (width, side), (top, side), (top, height), (0, height)]


def turned(rng: np.random.Generator, points: Sequence[Point], most: float = 0.0) -> list[Point]:
    """The figure mirrored at random in both directions and turned by at most so many degrees: mere looks."""
    across, up, turn = rng.uniform(-1, 1, 3)
    cos, sin = math.cos(math.radians(turn * most)), math.sin(math.radians(turn * most))
    mirrored = [(x if across > 0 else -x, y if up > 0 else -y) for x, y in points]
    return [(x * cos - y * sin, x * sin + y * cos) for x, y in mirrored]


def fit(points: Sequence[Point]) -> list[Point]:
    """The figure as large as the picture's margins allow, in its middle, y downwards."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    scale = min((WIDTH - 2 * _MARGIN) / wide, (HEIGHT - 2 * _MARGIN) / high)
    x0, y0 = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    return [(WIDTH / 2 + (x - x0) * scale, HEIGHT / 2 - (y - y0) * scale) for x, y in points]


def painted(points: Sequence[Point], labels: Sequence[str], colour: Colour) -> Image:
    """A pale figure with a label outside each side, from the first corner on; an empty label is left out."""
    canvas = Canvas(WIDTH, HEIGHT)
    corners = fit(points)
    canvas.polygon(corners, pale(colour), INK)
    _label_sides(canvas, corners, labels, colour)
    return canvas.image()


def _label_sides(canvas: Canvas, points: Sequence[Point], labels: Sequence[str], accent: Colour) -> None:
    away = 11.0 if _area(points) > 0 else -11.0
    for index, label in enumerate(labels):
        (x0, y0), (x1, y1) = points[index], points[(index + 1) % len(points)]
        length = math.hypot(x1 - x0, y1 - y0)
        place = ((x0 + x1) / 2 + away * (y1 - y0) / length, (y0 + y1) / 2 - away * (x1 - x0) / length)
        if label == MISSING:
            # In colour, for a label inside the corner of an L stands near two sides.
            canvas.line([points[index], points[(index + 1) % len(points)]], accent, 2.4)
            canvas.text(place, label, _SIZE + 2, accent)
        elif label:
            canvas.text(place, label, _SIZE)


def label_corner(canvas: Canvas, corner: Point, arms: tuple[Point, Point], label: str, colour: Colour = INK) -> None:
    """Mark the angle at a corner with an arc, and write its label inside where the arms leave room for it."""
    first, second = (math.degrees(math.atan2(corner[1] - y, x - corner[0])) for x, y in arms)
    start, wide = (first, (second - first) % 360) if (second - first) % 360 < 180 else (second, (first - second) % 360)
    middle = math.radians(start + wide / 2)
    distance = max(17.0, 10.5 / math.sin(math.radians(wide / 2)))
    canvas.arc(corner, distance - 9, (start, start + wide), colour)
    canvas.text(
        (corner[0] + distance * math.cos(middle), corner[1] - distance * math.sin(middle)), label, _SIZE, colour
    )


def _area(points: Sequence[Point]) -> float:
    """Twice the signed area; positive when the corners go round clockwise on the screen."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]]))
