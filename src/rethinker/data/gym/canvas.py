"""Drawing for every family: a canvas with antialiasing, a palette, and the three basic shapes."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from rethinker.types import Image

Point = tuple[float, float]
Colour = tuple[int, int, int]

SCALE = 3
"""Each canvas is drawn this much larger and averaged down: smooth edges at a fraction of a millisecond."""

COLOURS: dict[str, Colour] = {
    "red": (214, 39, 40),
    "blue": (31, 96, 196),
    "green": (34, 150, 60),
    "yellow": (240, 190, 20),
}
INK: Colour = (40, 40, 48)
FAINT: Colour = (214, 216, 222)
PAPER: Colour = (255, 255, 255)
SHAPES = ("circle", "square", "triangle")


class Canvas:
    """A white picture of `width` × `height` pixels; coordinates are in final pixels, y downwards."""

    def __init__(self, width: int, height: int) -> None:
        self._picture = PillowImage.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self._draw = ImageDraw.Draw(self._picture)

    def copy(self) -> Canvas:
        """Another canvas that begins as this one: a ground that many pictures share is drawn once."""
        other = copy.copy(self)
        other._picture = self._picture.copy()
        other._draw = ImageDraw.Draw(other._picture)
        return other

    def line(self, points: Sequence[Point], colour: Colour = INK, width: float = 1.0) -> None:
        """Draw an open line through `points`."""
        self._draw.line(_scaled(points), fill=colour, width=max(1, round(width * SCALE)), joint="curve")

    def polygon(self, points: Sequence[Point], colour: Colour | None = None, outline: Colour | None = None) -> None:
        """Draw a closed polygon."""
        self._draw.polygon(_scaled(points), fill=colour, outline=outline, width=SCALE)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill the rectangle [left, right) × [top, bottom)."""
        self._draw.rectangle(
            (left * SCALE, top * SCALE, right * SCALE - 1, bottom * SCALE - 1),
            fill=colour,
        )

    def disc(self, centre: Point, radius: float, colour: Colour | None, outline: Colour | None = None) -> None:
        """Draw a disc, or a ring when only `outline` is given."""
        x, y = centre
        corners = _scaled([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse(corners, fill=colour, outline=outline, width=SCALE)

    def text(self, centre: Point, text: str, size: float = 12, colour: Colour = INK) -> None:
        """Write `text` centred on a point, `size` pixels high."""
        (x, x_part), (y, y_part) = (divmod(round(2 * SCALE * place), 2) for place in centre)
        stamp = _stamp(text, size * SCALE, x_part / 2, y_part / 2)
        self._draw.bitmap((x - stamp.width // 2, y - stamp.height // 2), stamp, fill=colour)

    def arc(self, centre: Point, radius: float, degrees: tuple[float, float], colour: Colour = INK) -> None:
        """Draw an arc between two directions (see `polar`), the smaller first."""
        self.line(arc(centre, radius, degrees), colour)

    def shape(self, name: str, centre: Point, radius: float, colour: Colour) -> None:
        """Draw a filled circle, square or triangle that fits in a circle of about `radius`."""
        x, y = centre
        if name == "circle":
            self.disc(centre, radius, colour)
        elif name == "square":
            half = 0.88 * radius
            self.box(x - half, y - half, x + half, y + half, colour)
        elif name == "triangle":
            self.polygon([(x, y - radius), (x + radius, y + 0.85 * radius), (x - radius, y + 0.85 * radius)], colour)
        else:
            raise ValueError(f"unknown shape {name!r}; one of {', '.join(SHAPES)}")

    def image(self) -> Image:
        """The picture at its final size."""
        return Image(pixels=np.asarray(self._picture.reduce(SCALE), dtype=np.uint8))


def polar(centre: Point, radius: float, degrees: float) -> Point:
    """The point at a distance from `centre`; 0 degrees is right, 90 is up."""
    turn = math.radians(degrees)
    return (centre[0] + radius * math.cos(turn), centre[1] - radius * math.sin(turn))


def arc(centre: Point, radius: float, degrees: tuple[float, float]) -> list[Point]:
    """Points along an arc, close enough together to look round."""
    start, end = degrees
    steps = max(2, math.ceil((end - start) / 6))
    return [polar(centre, radius, start + (end - start) * step / steps) for step in range(steps + 1)]


def pale(colour: Colour) -> Colour:
    """The shade halfway to white: it keeps its name, and ink stands out on it."""
    red, green, blue = (255 - (255 - part) // 2 for part in colour)
    return (red, green, blue)


@functools.lru_cache(maxsize=4096)
def _stamp(text: str, size: float, x_part: float, y_part: float) -> PillowImage.Image:
    """Coverage of a written text whose middle lies so far right of and below the stamp's middle pixel.

    Writing is the slowest part of drawing, and pictures write the same few texts: each is written once, at half-pixel
    positions of the enlarged canvas.
    """
    font = _font(size)
    left, top, right, bottom = font.getbbox(text, anchor="mm")
    half_width, half_height = (math.ceil(max(-low, high)) + 2 for low, high in ((left, right), (top, bottom)))
    stamp = PillowImage.new("L", (2 * half_width, 2 * half_height))
    place = (half_width + x_part, half_height + y_part)
    ImageDraw.Draw(stamp).text(place, text, fill=255, font=font, anchor="mm")
    return stamp


@functools.cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _scaled(points: Sequence[Point]) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in points]
