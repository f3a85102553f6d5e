"""How far `rethinker data overlap`'s hash moves for copies of a picture, and how near different pictures come.

    python benchmarks/picture_hashes.py FOLDER [FOLDER …]
    python benchmarks/picture_hashes.py --drawings

Of the pictures in the folders: copies within so many bits, and pairs of files (whether a near pair shows the same is
for the eye: the nearest are listed). Of drawings: pairs that differ in their labels, numbers or slopes alone.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rethinker.data import hashing
from rethinker.types import Image as Pixels

BITS = (6, 8, 10)
WHITE = "white"


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """The picture as a JPEG shows it."""
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=quality)
    return Image.open(encoded)


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    """The picture at another size."""
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize((width, height))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 75": lambda picture: jpeg(picture, 75),
    "half size": lambda picture: scaled(picture, 0.5),
    "× 1.37": lambda picture: scaled(picture, 1.37),
    "grey": lambda picture: picture.convert("L"),
    "JPEG 30": lambda picture: jpeg(picture, 30),
    "256 px and JPEG 60": lambda picture: jpeg(scaled(picture, 256 / max(picture.size)), 60),
    "squeezed to a square": lambda picture: picture.resize((max(picture.size),) * 2),
    "border of 2 % cropped": lambda picture: picture.crop(
        (*(side // 50 for side in picture.size), *(side - side // 50 for side in picture.size))
    ),
}


def triangle(numbers: Sequence[int]) -> Image.Image:
    """One triangle; its labels alone differ."""
    picture = Image.new("RGB", (500, 400), WHITE)
    draw, corners = ImageDraw.Draw(picture), [(40, 350), (460, 350), (300, 40)]
    draw.polygon(corners, outline="black", width=3)
    for (x, y), number in zip(corners, numbers, strict=True):
        draw.text((x + 5, y - 10), str(number), fill="black", font=ImageFont.load_default(size=24))
    return picture


def equation(numbers: Sequence[int]) -> Image.Image:
    """A line of text."""
    picture = Image.new("RGB", (500, 80), WHITE)
    a, b, c, d = numbers
    text = f"{a}x^2 + {b}x - {c} = {d}"
    ImageDraw.Draw(picture).text((10, 25), text, fill="black", font=ImageFont.load_default(size=24))
    return picture


def line(slope: float, height: float) -> Image.Image:
    """A straight line on squared paper."""
    picture = Image.new("RGB", (500, 500), WHITE)
    draw = ImageDraw.Draw(picture)
    for place in range(0, 500, 25):
        draw.line((place, 0, place, 500), fill=(210, 210, 210))
        draw.line((0, place, 500, place), fill=(210, 210, 210))
    draw.line((250, 0, 250, 500), fill="black", width=3)
    draw.line((0, 250, 500, 250), fill="black", width=3)
    ends = [(250 + x * 25, 250 - (slope * x + height) * 25) for x in (-10, 10)]
    draw.line(ends, fill="blue", width=3)
    return picture


def drawings() -> dict[str, list[Image.Image]]:
    """Families of drawings."""
    rng = np.random.default_rng(0)
    return {
        "one triangle, other numbers": [triangle(numbers) for numbers in rng.integers(10, 99, (30, 3))],
        "equations as pictures": [equation(numbers) for numbers in rng.integers(1, 99, (60, 4))],
        "lines on squared paper": [line(a, b) for a in (-2, -1, -0.5, 0.5, 1, 2) for b in range(-3, 4)],
    }


def hashed(picture: Image.Image) -> int | None:
    """Its perceptual hash."""
    return hashing.perceptual_hash(Pixels(pixels=np.asarray(picture.convert("RGB"))))


def near(hashes: Sequence[int | None]) -> list[tuple[int, int, int]]:
    """Pairs with their distance, the nearest first; blank pictures have none."""
    known = [(place, found) for place, found in enumerate(hashes) if found is not None]
    return sorted(((one ^ other).bit_count(), a, b) for (a, one), (b, other) in combinations(known, 2))


def counted(distances: Sequence[int]) -> str:
    """How many are within each bound."""
    shown = ", ".join(f"{sum(each <= bits for each in distances)} within {bits}" for bits in BITS)
    return f"{shown}, of {len(distances)}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--drawings", action="store_true")
    arguments = parser.parse_args()
    if arguments.drawings:
        for name, family in drawings().items():
            print(f"{name}: pairs {counted([bits for bits, _, _ in near([hashed(picture) for picture in family])])}")
    files = sorted(file for folder in arguments.folders for file in folder.iterdir())
    if not files:
        return
    pictures = [Image.open(file).convert("RGB") for file in files]
    hashes = [hashed(picture) for picture in pictures]
    for name, copy in COPIES.items():
        moved = [near([found, hashed(copy(picture))]) for picture, found in zip(pictures, hashes, strict=True)]
        print(f"{name}: copies {counted([pairs[0][0] for pairs in moved if pairs])}")
    pairs = near(hashes)
    print(f"different files: pairs {counted([bits for bits, _, _ in pairs])}")
    for bits, one, other in pairs:
        if bits <= BITS[1]:
            print(f"  {bits} bits: {files[one]} {files[other]}")


if __name__ == "__main__":
    main()
