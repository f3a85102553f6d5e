"""Rows of a data set that stand in an evaluation set too: by a picture, one that looks the same, or a question.

Pictures are the same when their decoded pixels are; they look the same when their perceptual hashes are near
(`hashing`). Questions are compared by their words and signs: not by case, spacing, typography or the options listed
after them. A short question says little without its picture ("Find x."): it counts only where there is no picture.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np

from rethinker.data.hashing import near_pairs, perceptual_hash
from rethinker.data.images import load_image
from rethinker.data.marks import MARK
from rethinker.data.parallel import in_order
from rethinker.data.rows import RowSource
from rethinker.errors import DataError

DISTANCE = 6
"""Bits in which hashes of one picture may differ. Of 107,880 pairs of real pictures, 0 different ones are within 6 and
2 within 8, while 465 of 465 copies at JPEG quality 75 or half the size are within 6 (docs/data-commands.md)."""

LEAST_WORDS = 8
"""A shorter question about a picture is not compared."""

_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[-+*/=<>^√∠≤≥≠±]")


class Kind(StrEnum):
    """How two rows overlap, the surest first."""

    SAME_IMAGE = "same_image"
    NEAR_IMAGE = "near_image"
    QUESTION = "question"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """A row of ours and the row of theirs that is nearest to it in one way.

    Attributes:
        row: Our row's index.
        other: Their row's index.
        bits: In which two near images' hashes differ; 0 otherwise.
    """

    row: int
    other: int
    kind: Kind
    bits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """What is compared of a data set; tens of bytes a row.

    Attributes:
        rows: Number of rows.
        unreadable: Rows whose question or images cannot be had, with the reason; they were not compared.
        pixels: Digest of a picture's pixels → rows that have it.
        hashes: Perceptual hash of each picture that has one, with `owners`, its row.
        questions: Digest of a question's words → rows that ask it.
    """

    rows: int
    unreadable: dict[int, str]
    pixels: dict[str, list[int]]
    hashes: np.ndarray
    owners: np.ndarray
    questions: dict[str, list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Print:
    """One row's part of the fingerprints."""

    pixels: tuple[str, ...]
    hashes: tuple[int, ...]
    question: str | None


def fingerprints(source: RowSource, *, workers: int, advance: Callable[[], object] = lambda: None) -> Fingerprints:
    """Read every row and keep what is compared.

    Args:
        workers: Threads that decode and hash.
        advance: Called after each row.
    """
    unreadable: dict[int, str] = {}
    pixels, questions = defaultdict(list), defaultdict(list)
    hashes: list[tuple[int, int]] = []
    for row, found in enumerate(in_order(partial(_print, source), range(len(source)), workers=workers)):
        advance()
        if isinstance(found, str):
            unreadable[row] = found
            continue
        hashes += [(value, row) for value in found.hashes]
        for digest in found.pixels:
            pixels[digest].append(row)
        if found.question is not None:
            questions[found.question].append(row)
    return Fingerprints(
        rows=len(source),
        unreadable=unreadable,
        pixels=dict(pixels),
        hashes=np.array([value for value, _ in hashes], dtype=np.uint64),
        owners=np.array([row for _, row in hashes], dtype=np.int64),
        questions=dict(questions),
    )


def overlaps(ours: Fingerprints, theirs: Fingerprints, *, distance: int = DISTANCE) -> list[Overlap]:
    """Rows of ours that stand in theirs, by row; one per row and kind, and no near image where the same is there."""
    found: dict[tuple[int, Kind], Overlap] = {}
    for overlap in (*_same(ours, theirs), *_near(ours, theirs, distance)):
        held = found.get((overlap.row, overlap.kind))
        same = (overlap.row, Kind.SAME_IMAGE) in found and overlap.kind is Kind.NEAR_IMAGE
        if not same and (held is None or overlap.bits < held.bits):
            found[overlap.row, overlap.kind] = overlap
    return sorted(found.values(), key=lambda overlap: (overlap.row, list(Kind).index(overlap.kind)))


def normalised(question: str) -> str:
    """The words, numbers and signs of a question's stem, without marks, typography and the options listed after it."""
    stem = MARK.sub(" ", question).partition("(A)")[0]
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", stem).casefold()))


def _same(ours: Fingerprints, theirs: Fingerprints) -> Iterator[Overlap]:
    for kind, here, there in (
        (Kind.SAME_IMAGE, ours.pixels, theirs.pixels),
        (Kind.QUESTION, ours.questions, theirs.questions),
    ):
        for digest in sorted(here.keys() & there.keys()):
            yield from (Overlap(row=row, other=there[digest][0], kind=kind) for row in here[digest])


def _near(ours: Fingerprints, theirs: Fingerprints, distance: int) -> Iterator[Overlap]:
    for left, right, bits in near_pairs(ours.hashes, theirs.hashes, distance=distance):
        yield Overlap(row=int(ours.owners[left]), other=int(theirs.owners[right]), kind=Kind.NEAR_IMAGE, bits=bits)


def _print(source: RowSource, index: int) -> _Print | str:
    """One row's fingerprint, or why it has none; whether it can be a problem does not matter."""
    try:
        row = source.row(index)
        images = [load_image(image, max_pixels=source.max_pixels) for image in row.images]
    except DataError as error:
        return f"{source.where(index)}: {error}"
    hashes = [perceptual_hash(image) for image in images]
    return _Print(
        pixels=tuple(dict.fromkeys(image.id for image in images)),
        hashes=tuple(value for value in hashes if value is not None),
        question=_question(row.question, pictured=bool(images)),
    )


def _question(question: str, *, pictured: bool) -> str | None:
    """Digest of what is asked; None where that says too little."""
    words = normalised(question)
    if not words or (pictured and words.count(" ") + 1 < LEAST_WORDS):
        return None
    return hashlib.blake2b(words.encode(), digest_size=16).hexdigest()


def dropped(found: Sequence[Overlap]) -> list[int]:
    """The rows that overlap in any way."""
    return sorted({overlap.row for overlap in found})
