from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from tests.data.real_pictures import LOGICVISTA, MATHVISION, real_pictures

from rethinker.data.hashing import near_pairs, perceptual_hash
from rethinker.data.jsonl import JsonlSource
from rethinker.data.overlap import DISTANCE, Kind, dropped, fingerprints, normalised, overlaps
from rethinker.types import Image

LONG = "How many of the red shapes stand to the left of the blue one?"


def noise(seed: int, *, size: int = 96) -> Pillow.Image:
    """A picture with a structure of its own, smooth as pictures are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Pillow.fromarray(coarse).resize((size, size), Pillow.Resampling.BICUBIC)


def image(picture: Pillow.Image) -> Image:
    return Image(pixels=np.asarray(picture.convert("RGB")))


def jpeg(picture: Pillow.Image, quality: int) -> Pillow.Image:
    encoded = io.BytesIO()
    picture.convert("RGB").save(encoded, "JPEG", quality=quality)
    return Pillow.open(encoded)


def bits(one: Image, other: Image) -> int:
    """In which two pictures' hashes differ."""
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


def source_of(folder: Path, *rows: tuple[Pillow.Image | None, str]) -> JsonlSource:
    folder.mkdir()
    lines = []
    for number, (picture, question) in enumerate(rows):
        if picture is not None:
            picture.save(folder / f"{number}.png")
        lines.append({"question": question, "answer": "1"} | ({} if picture is None else {"image": f"{number}.png"}))
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return JsonlSource(folder / "rows.jsonl")


def shared(ours: JsonlSource, theirs: JsonlSource) -> list[tuple[int, int, Kind]]:
    found = overlaps(fingerprints(ours, workers=2), fingerprints(theirs, workers=2))
    return [(overlap.row, overlap.other, overlap.kind) for overlap in found]


def test_copies_are_found_by_pixels_or_by_look_and_other_pictures_are_not(tmp_path: Path) -> None:
    ours = source_of(
        tmp_path / "ours",
        (noise(1), "a?"),
        (noise(2).resize((144, 144)), "b?"),
        (jpeg(noise(3), 50), "c?"),
        (noise(4), "d?"),
        (None, "e?"),
    )
    theirs = source_of(tmp_path / "theirs", (noise(9), "x?"), (noise(3), "y?"), (noise(2), "z?"), (noise(1), "u?"))
    assert shared(ours, theirs) == [
        (0, 3, Kind.SAME_IMAGE),
        (1, 2, Kind.NEAR_IMAGE),
        (2, 1, Kind.NEAR_IMAGE),
    ]


def test_blank_pictures_are_the_same_only_pixel_by_pixel(tmp_path: Path) -> None:
    white, grey = (Pillow.new("RGB", (60, 60), shade) for shade in ("white", "grey"))
    assert perceptual_hash(image(white)) is None
    assert shared(source_of(tmp_path / "a", (white, "a?"), (grey, "b?")), source_of(tmp_path / "b", (grey, "c?"))) == [
        (1, 0, Kind.SAME_IMAGE)
    ]


def test_a_question_is_the_same_but_for_case_typography_and_listed_options(tmp_path: Path) -> None:
    ours = source_of(
        tmp_path / "ours",
        (noise(1), LONG.upper().replace("OF THE", "of\n the")),
        (noise(2), f"<image1>{LONG} Select from A and B. (A) 1 (B) 2"),
        (noise(3), "Find x."),
        (None, "What is $1 + 1$?"),
        (None, "What is 1 - 1?"),
    )
    theirs = source_of(
        tmp_path / "theirs",
        (noise(5), LONG),
        (noise(6), f"{LONG}\nSelect from A and B.\n(A) 3\n(B) 4"),
        (noise(7), "Find x."),
        (None, "what is 1+1"),
    )
    assert shared(ours, theirs) == [(0, 0, Kind.QUESTION), (1, 1, Kind.QUESTION), (3, 3, Kind.QUESTION)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<image>\nFind $\\angle ABC$, if AB=3.5cm.", "find angle abc if ab = 3.5 cm"),
        ("Is x ≤ 2−1?", "is x ≤ 2 1"),
        ("(A) yes (B) no", ""),
    ],
)
def test_what_is_left_of_a_question(text: str, words: str) -> None:
    assert normalised(text) == words


def test_rows_that_cannot_be_read_are_listed_and_not_compared(tmp_path: Path) -> None:
    ours = source_of(tmp_path / "ours", (noise(1), "a?"), (noise(2), "b?"))
    (tmp_path / "ours" / "0.png").write_bytes(b"no picture")
    found = fingerprints(ours, workers=2)
    assert (found.rows, list(found.unreadable), len(found.hashes)) == (2, [0], 1)


def test_a_row_is_dropped_once_however_it_overlaps(tmp_path: Path) -> None:
    ours = source_of(tmp_path / "ours", (noise(1), LONG), (noise(2), "b?"))
    found = overlaps(fingerprints(ours, workers=1), fingerprints(ours, workers=1))
    assert [overlap.kind for overlap in found if overlap.row == 0] == [Kind.SAME_IMAGE, Kind.QUESTION]
    assert dropped(found) == [0, 1]


def test_near_pairs_are_those_that_comparing_one_by_one_finds() -> None:
    rng = np.random.default_rng(0)
    left = rng.integers(0, 2**63, 700, dtype=np.uint64)
    right = np.concatenate([left[::7] ^ np.uint64(5), rng.integers(0, 2**63, 50, dtype=np.uint64)])
    slow = {
        (i, j, (int(a) ^ int(b)).bit_count())
        for i, a in enumerate(left)
        for j, b in enumerate(right)
        if (int(a) ^ int(b)).bit_count() <= 3
    }
    assert set(near_pairs(left, right, distance=3)) == slow
    assert len(slow) == 100
    assert list(near_pairs(left, right[:0], distance=64)) == []


def labelled(*labels: str) -> Image:
    """One triangle, whatever its labels."""
    picture = Pillow.new("RGB", (500, 400), "white")
    draw, corners = ImageDraw.Draw(picture), [(40, 350), (460, 350), (300, 40)]
    draw.polygon(corners, outline="black", width=3)
    for (x, y), label in zip(corners, labels, strict=True):
        draw.text((x + 5, y - 10), label, fill="black", font=ImageFont.load_default(size=24))
    return image(picture)


def test_drawings_that_differ_in_their_labels_alone_look_the_same_to_the_hash() -> None:
    one, other = labelled("12", "35", "80"), labelled("71", "46", "9")
    assert one.id != other.id
    assert bits(one, other) <= DISTANCE


def some_real_pictures() -> list[Pillow.Image]:
    files = [LOGICVISTA.parent / "images" / f"v1_{number}.png" for number in (287, 336, 368, 397, 409)]
    files += [MATHVISION.parent / "images" / f"{number}.jpg" for number in (4, 5, 1050, 217, 1064)]
    return [Pillow.open(file).convert("RGB") for file in files]


@real_pictures
def test_encoding_and_resizing_leave_a_real_picture_within_the_distance() -> None:
    for picture in some_real_pictures():
        width, height = picture.size
        for copy in (
            jpeg(picture, 75),
            picture.resize((width // 2, height // 2)),
            picture.resize((width * 3 // 2, height * 3 // 2), Pillow.Resampling.BILINEAR),
            picture.convert("L"),
        ):
            assert bits(image(picture), image(copy)) <= DISTANCE


@real_pictures
def test_different_real_pictures_are_further_apart() -> None:
    pictures = [image(picture) for picture in some_real_pictures()]
    apart = [bits(one, other) for place, one in enumerate(pictures) for other in pictures[:place]]
    assert min(apart) > DISTANCE


@real_pictures
def test_a_picture_that_stands_twice_in_a_real_set_is_found() -> None:
    one, other = (Pillow.open(MATHVISION.parent / "images" / name) for name in ("1050.jpg", "773.jpg"))
    assert image(one).id != image(other).id
    assert bits(image(one), image(other)) <= DISTANCE
