"""A 64-bit perceptual hash of a picture, and the near pairs of two sets of them.

The hash holds the signs, around their median, of the 8 × 8 lowest frequencies of the cosine transform of the picture
at 32 × 32, without the constant row and column. Re-encoding and resizing hardly move these; what they ignore is how
bright the page is and how wide its margins are, and that is what drawings on white paper have in common. Measured on
the 465 pictures of LogicVista and of MATH-V's test-mini set (docs/data-commands.md): a difference hash needs twice the
distance for the same copies, and a cosine hash with the constant row and column confuses pictures of the two sets.

Source: the "pHash" family (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, UInt64
from PIL import Image as Pillow

from rethinker.types import Image

SIDE, LOW = 32, 8
"""Pixels per side that the transform sees, and frequencies kept per axis."""

FLATTEST = 1.0
"""Grey levels: a picture whose standard deviation at 32 × 32 is below this has nothing to hash."""

BLOCK = 256
"""Rows compared at once; with 10,000 on the other side a block takes 20 MB."""

_waves: Float64[np.ndarray, "8 32"] = np.cos(np.pi / SIDE * np.outer(np.arange(1, LOW + 1), np.arange(SIDE) + 0.5))


def perceptual_hash(image: Image) -> int | None:
    """64 bits of which pictures that look alike share all but a few; None for a blank picture.

    As many bits are set as not, so that the distance of two hashes is even.
    """
    grey = Pillow.fromarray(image.pixels).convert("L").resize((SIDE, SIDE), Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    levels = np.asarray(grey, dtype=np.float64)
    if levels.std() < FLATTEST:
        return None
    waves = (_waves @ levels @ _waves.T).ravel()
    return int.from_bytes(np.packbits(waves > np.median(waves)).tobytes(), "big")


def near_pairs(
    left: UInt64[np.ndarray, " left"], right: UInt64[np.ndarray, " right"], *, distance: int
) -> Iterator[tuple[int, int, int]]:
    """Every pair that differs in at most `distance` bits: (index on the left, index on the right, bits that differ)."""
    for start in range(0, len(left), BLOCK):
        bits = np.bitwise_count(left[start : start + BLOCK, None] ^ right[None])
        for row, other in zip(*np.nonzero(bits <= distance)):
            yield start + int(row), int(other), int(bits[row, other])
