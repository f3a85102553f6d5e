"""Areas: shaded unit squares, a rectangle in two parts, an L or a triangle with labelled sides."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS, INK, Canvas, Colour, pale
from rethinker.data.gym.draws import order, pick, whole, wholes
from rethinker.data.gym.figures import HEIGHT, WIDTH, ell, fit, painted, turned
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.types import Image

_SQUARE = 28
_SQUARES = 5
_RULE: Colour = (150, 152, 160)


class Areas(Family):
    """Level 1: rows of unit squares; 2: a rectangle in two parts, or one of them; 3: an L or a triangle."""

    name: ClassVar[str] = "areas"
    category: ClassVar[str] = "geometry"
    levels: ClassVar[int] = 3

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw a figure that is shaded or labelled, and ask for its area."""
        if level < 3:
            return (_squares, _parts)[level - 1](rng)
        return _ell(rng) if rng.random() < 0.5 else _triangle(rng)


def _squares(rng: np.random.Generator) -> Sketch:
    rows = (*wholes(rng, 0, _SQUARES, _SQUARES - 1), whole(rng, 1, _SQUARES))
    from_right = bool(rng.random() < 0.5)
    colour = pick(rng, tuple(COLOURS))

    def paint() -> Scene:
        return _scene(
            _paint_squares(rows, from_right, COLOURS[colour]),
            question="Each square has area 1. What is the shaded area?",
            look=f"Rows: {', '.join(map(str, rows))}.",
            work=f"{'+'.join(map(str, rows))}={sum(rows)}.",
            answer=sum(rows),
        )

    return Sketch(key=f"squares|{rows}", paint=paint)


def _parts(rng: np.random.Generator) -> Sketch:
    high, first, second = whole(rng, 2, 12), *wholes(rng, 2, 12, 2)
    one, other = order(rng, tuple(COLOURS), 2)
    asked, width = ((one, first), (other, second), ("whole", first + second))[whole(rng, 0, 2)]
    question = "What is the area of the whole rectangle?" if asked == "whole" else f"What is the {asked} area?"
    sum_first = f"{first}+{second}={width}. " if asked == "whole" else ""

    def paint() -> Scene:
        return _scene(
            _paint_parts(high, (first, second), (COLOURS[one], COLOURS[other])),
            question=question,
            look=f"Height {high}. {one} is {first} wide, {other} is {second} wide.",
            work=f"{sum_first}{asked}: {high}*{width}={high * width}.",
            answer=high * width,
        )

    return Sketch(key=f"{question}|{high}|{one} {first}|{other} {second}", paint=paint)


def _ell(rng: np.random.Generator) -> Sketch:
    width, height = wholes(rng, 6, 15, 2)
    top, side = whole(rng, 2, width - 3), whole(rng, 2, height - 3)
    rest = width - top
    tall, low = top * height, rest * side
    points = turned(rng, ell(width, height, top, side))
    labels = (str(width), str(side), "", "", str(top), str(height))
    colour = COLOURS[pick(rng, tuple(COLOURS))]

    def paint() -> Scene:
        return _scene(
            painted(points, labels, colour),
            question="What is the area of the figure?",
            look=f"Level: {width}, {top}. Upright: {height}, {side}.",
            work=f"{top}*{height}={tall}. {width}-{top}={rest}. {rest}*{side}={low}. {tall}+{low}={tall + low}.",
            answer=tall + low,
        )

    return Sketch(key=f"ell|{width}|{height}|{top}|{side}", paint=paint)


def _triangle(rng: np.random.Generator) -> Sketch:
    """Base and height are drawn to scale; where the foot of the height stands is mere looks."""
    base = whole(rng, 6, 30)
    high = whole(rng, base // 2, base)
    if base * high % 2:
        high += 1
    foot = float(rng.uniform(0.25, 0.75))
    colour = COLOURS[pick(rng, tuple(COLOURS))]

    def paint() -> Scene:
        return _scene(
            _paint_triangle(base, high, foot, colour),
            question="What is the area of the triangle?",
            look=f"Base {base}. Height {high}.",
            work=f"{base}*{high}={base * high}. {base * high}/2={base * high // 2}.",
            answer=base * high // 2,
        )

    return Sketch(key=f"triangle|{base}|{high}", paint=paint)


def _scene(image: Image, *, question: str, look: str, work: str, answer: int) -> Scene:
    return Scene(
        images=(image,),
        question=f"<image>{question}",
        answer=str(answer),
        verifier="number",
        look=look,
        work=work,
    )


def _paint_squares(rows: tuple[int, ...], from_right: bool, colour: Colour) -> Image:
    side = _SQUARES * _SQUARE
    canvas = Canvas(side, side)
    for index, row in enumerate(rows):
        left = (_SQUARES - row) * _SQUARE if from_right else 0
        if row:
            canvas.box(left, index * _SQUARE, left + row * _SQUARE, (index + 1) * _SQUARE, pale(colour))
    for line in range(1, _SQUARES):
        canvas.line([(line * _SQUARE, 0), (line * _SQUARE, side)], _RULE)
        canvas.line([(0, line * _SQUARE), (side, line * _SQUARE)], _RULE)
    return canvas.image()


def _paint_parts(high: int, widths: tuple[int, int], colours: tuple[Colour, Colour]) -> Image:
    canvas = Canvas(WIDTH, HEIGHT)
    wide, cut = sum(widths), widths[0]
    (left, foot), (middle, _), (right, top) = fit([(0, 0), (cut, 0), (wide, high)])
    for start, end, colour in ((left, middle, colours[0]), (middle, right, colours[1])):
        canvas.polygon([(start, foot), (end, foot), (end, top), (start, top)], pale(colour), INK)
    canvas.text((left - 11, (top + foot) / 2), str(high), 11)
    for start, end, width in ((left, middle, widths[0]), (middle, right, widths[1])):
        canvas.text(((start + end) / 2, foot + 10), str(width), 11)
    return canvas.image()


def _paint_triangle(base: int, high: int, foot: float, colour: Colour) -> Image:
    canvas = Canvas(WIDTH, HEIGHT)
    left, right, top, below = fit([(0, 0), (base, 0), (foot * base, high), (foot * base, 0)])
    canvas.polygon([left, right, top], pale(colour), INK)
    canvas.line([top, below], INK)
    wider = 1 if foot < 0.5 else -1
    x, y = below
    canvas.line([(x + 6 * wider, y), (x + 6 * wider, y - 6), (x, y - 6)])
    canvas.text(((left[0] + right[0]) / 2, y + 10), str(base), 11)
    canvas.text((x + 10 * wider, (top[1] + y) / 2 + 4), str(high), 11)
    return canvas.image()
