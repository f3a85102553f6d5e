"""Where the images of a question belong: `<image>` for each in turn, or `<image 2>` for the second (MMMU, MATH-V)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from rethinker.errors import MarksError
from rethinker.types import IMAGE_MARK

Placed = TypeVar("Placed")
"""An image in whatever form; nothing is asked of it."""

MARK = re.compile(r"<image(?:\s*([0-9]{1,3}))?>")
"""A mark, with its number where it has one."""


def place_images(question: str, images: Sequence[Placed], *, column: str) -> tuple[str, tuple[Placed, ...]]:
    """The question with one `<image>` per image, and the images in the order of these marks.

    Images of a question without marks come first. Where a number repeats, its first mark is the image, and later ones
    become words ("image 1") that count the images as the reader meets them.

    Args:
        column: Where the question stands, for messages.

    Raises:
        MarksError: marks and images do not fit together.
    """
    found = MARK.findall(question)
    if not found:
        return IMAGE_MARK * len(images) + question, tuple(images)
    if not any(found):
        if len(found) != len(images):
            raise MarksError(f"{len(images)} images but {len(found)} {IMAGE_MARK} marks; they must agree", column)
        return question, tuple(images)
    order = list(dict.fromkeys(int(number or 0) for number in found))
    if sorted(order) != list(range(1, len(images) + 1)):
        shown = ", ".join(dict.fromkeys(mark[0] for mark in MARK.finditer(question)))
        raise MarksError(
            f"{len(images)} images but the marks {shown}; number the images from 1, mark each at least once, or write "
            f"{IMAGE_MARK} for each in turn",
            column,
        )
    marked: set[int] = set()

    def place(mark: re.Match[str]) -> str:
        number = int(mark[1])
        if number in marked:
            return f"image {order.index(number) + 1}"
        marked.add(number)
        return IMAGE_MARK

    return MARK.sub(place, question), tuple(images[number - 1] for number in order)
