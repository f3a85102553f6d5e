"""Drawing for every family: a canvas with antialiasing, a palette, and the three basic shapes."""

from __future__ import annotations

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
        font = ImageFont.load_default(size * SCALE)
        self._draw.text(_scaled([centre])[0], text, fill=colour, font=font, anchor="mm")

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


def _scaled(points: Sequence[Point]) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in points]
