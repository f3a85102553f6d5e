"""Angles: the missing one on a straight line, in a triangle, or at a triangle with a side extended."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS, Canvas, Colour, polar
from rethinker.data.gym.draws import parts, pick, whole
from rethinker.data.gym.figures import ACCENTS, HEIGHT, MISSING, WIDTH, fit, label_corner, triangle_by_angles, turned
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.types import Image

_LEAST, _MOST = 30, 105
"""Degrees in a triangle: corners that leave room for their labels."""


class Angles(Family):
    """Level 1: three or four multiples of 5° on a line, one missing; 2: a triangle's third angle; 3: an outer angle."""

    name: ClassVar[str] = "angles"
    category: ClassVar[str] = "geometry"
    levels: ClassVar[int] = 3

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw a figure with one angle marked x."""
        return (_on_a_line, _in_a_triangle, _outside)[level - 1](rng)


def _on_a_line(rng: np.random.Generator) -> Sketch:
    angles = tuple(5 * part for part in parts(rng, 36, whole(rng, 3, 4), 4))
    missing = whole(rng, 0, len(angles) - 1)
    colour = COLOURS[pick(rng, ACCENTS)]
    given = [angle for index, angle in enumerate(angles) if index != missing]

    def paint() -> Scene:
        return _scene(
            _paint_line(_labels(angles, missing), angles, colour),
            look=f"On a line: {', '.join(_labels(angles, missing))}.",
            work=f"{_plus(given)}. 180-{sum(given)}={angles[missing]}.",
            answer=angles[missing],
        )

    return Sketch(key=f"line|{angles}|{missing}", paint=paint)


def _in_a_triangle(rng: np.random.Generator) -> Sketch:
    angles = _triangle(rng)
    missing = whole(rng, 0, 2)
    colour = COLOURS[pick(rng, ACCENTS)]
    corners = turned(rng, triangle_by_angles(angles[0], angles[1]), 12)
    given = [angle for index, angle in enumerate(angles) if index != missing]

    def paint() -> Scene:
        return _scene(
            _paint_triangle(corners, _labels(angles, missing), colour),
            look=f"Triangle: {given[0]}, {given[1]}, {MISSING}.",
            work=f"{_plus(given)}. 180-{sum(given)}={angles[missing]}.",
            answer=angles[missing],
        )

    return Sketch(key=f"triangle|{given}", paint=paint)


def _outside(rng: np.random.Generator) -> Sketch:
    """The angle outside one end of the base is the sum of the two inner angles far from it."""
    far, top, near = _triangle(rng)
    outer = 180 - near
    missing = whole(rng, 0, 2)
    labels = _labels((far, top, outer), missing)
    colour = COLOURS[pick(rng, ACCENTS)]
    corners = turned(rng, [*triangle_by_angles(far, near), (1.4, 0.0)])
    answer = (far, top, outer)[missing]
    known = far if missing == 1 else top
    work = f"Outer: {far}+{top}={outer}." if missing == 2 else f"Outer minus inner: {outer}-{known}={answer}."

    def paint() -> Scene:
        return _scene(
            _paint_triangle(corners, (labels[0], "", labels[1], labels[2]), colour),
            look=f"Inner: {labels[0]}, {labels[1]}. Outer: {labels[2]}.",
            work=work,
            answer=answer,
        )

    return Sketch(key=f"outer|{labels}", paint=paint)


def _triangle(rng: np.random.Generator) -> tuple[int, ...]:
    angles = parts(rng, 180, 3, _LEAST)
    while max(angles) > _MOST:
        angles = parts(rng, 180, 3, _LEAST)
    return angles


def _scene(image: Image, *, look: str, work: str, answer: int) -> Scene:
    return Scene(
        images=(image,),
        question="<image>How many degrees is x?",
        answer=str(answer),
        verifier="number",
        look=look,
        work=work,
    )


def _labels(angles: tuple[int, ...], missing: int) -> tuple[str, ...]:
    return tuple(MISSING if index == missing else str(angle) for index, angle in enumerate(angles))


def _plus(given: list[int]) -> str:
    return f"{'+'.join(map(str, given))}={sum(given)}"


def _paint_line(labels: tuple[str, ...], angles: tuple[int, ...], colour: Colour) -> Image:
    """Rays from a point of a level line, angles from the left."""
    canvas = Canvas(168, 112)
    centre = (84.0, 96.0)
    canvas.line([(4, 96), (164, 96)], width=1.4)
    left = 180.0
    for label, angle in zip(labels, angles, strict=True):
        right = left - angle
        if right > 0:
            canvas.line([centre, polar(centre, 84, right)], width=1.4)
        if label == MISSING:
            canvas.arc(centre, 44, (right, left), colour)
            canvas.text(polar(centre, 62, (left + right) / 2), label, 13, colour)
        else:
            canvas.text(polar(centre, 64, (left + right) / 2), label, 11)
        left = right
    return canvas.image()


def _paint_triangle(corners: list[tuple[float, float]], labels: tuple[str, ...], colour: Colour) -> Image:
    """A triangle with its angles marked; a fourth corner, if any, ends the extended base."""
    canvas = Canvas(WIDTH, HEIGHT)
    points = fit(corners)
    a, b, c = points[:3]
    canvas.line([a, b, c, a], width=1.4)
    arms = [(a, (b, c)), (b, (c, a)), (c, (a, b))]
    for end in points[3:]:
        canvas.line([b, end], width=1.4)
        arms.append((b, (c, end)))
    for (corner, between), label in zip(arms, labels, strict=True):
        if label:
            label_corner(canvas, corner, between, label, *([colour] if label == MISSING else []))
    return canvas.image()
