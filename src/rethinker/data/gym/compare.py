"""Two pictures compared: which holds more, how many more, how many together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS, SHAPES
from rethinker.data.gym.cells import PIECES, Board, Piece, board
from rethinker.data.gym.draws import pick, whole
from rethinker.data.gym.options import Options
from rethinker.data.gym.scene import Family, Scene, Sketch

_ANSWERS = ("the first", "the second", "neither")


@dataclass(frozen=True, slots=True)
class _Level:
    size: int
    asks: tuple[str, ...]
    both: bool


_LEVELS = (
    _Level(3, ("more",), both=False),
    _Level(3, ("difference", "total"), both=False),
    _Level(4, ("more", "difference", "total"), both=True),
)


class Compare(Family):
    """Level 1: which of two pictures of 3 × 3 cells holds more of a colour or shape (multiple choice); 2: how many
    more, or how many together; 3: all of these on 4 × 4 cells, of a colour and shape.
    """

    name: ClassVar[str] = "compare"
    category: ClassVar[str] = "counting"
    levels: ClassVar[int] = len(_LEVELS)

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw two boards, so that each outcome is likely, and a question."""
        spec = _LEVELS[level - 1]
        colour, shape = pick(rng, tuple(COLOURS)), pick(rng, SHAPES)
        noun = f"{colour} {shape}s" if spec.both else pick(rng, (f"{colour} shapes", f"{shape}s"))
        wanted = tuple(
            piece for piece in PIECES if f"{piece[0]} {piece[1]}s".endswith(noun) or noun == f"{piece[0]} shapes"
        )
        most = spec.size**2 * 2 // 3
        first = whole(rng, 0, most)
        second = first if rng.random() < 0.25 else whole(rng, 0, most)
        boards = tuple(_board(rng, spec.size, wanted, count) for count in (first, second))
        question, work, answer, listed = _question(pick(rng, spec.asks), noun, first, second)

        def paint() -> Scene:
            return Scene(
                images=(boards[0].paint(), boards[1].paint()),
                question=f"<image><image>{question}",
                answer=answer,
                verifier="choice" if listed else "number",
                choices=listed.texts if listed else (),
                look=f"Picture 1. {boards[0].describe()} Picture 2. {boards[1].describe()}",
                work=f"{noun[0].upper()}{noun[1:]}: {first} and {second}. {work}",
            )

        return Sketch(key=f"{question}|{boards[0].pieces}|{boards[1].pieces}", paint=paint)


def _board(rng: np.random.Generator, size: int, wanted: tuple[Piece, ...], count: int) -> Board:
    """A board with `count` wanted pieces; of the other cells about a third are empty."""
    others = [piece for piece in PIECES if piece not in wanted]
    places = rng.permutation(size**2)[:count].tolist()
    pieces: list[Piece | None] = [pick(rng, others) if rng.random() < 0.65 else None for _ in range(size**2)]
    for place in places:
        pieces[place] = pick(rng, wanted)
    return board(rng, size=size, pieces=tuple(pieces), jitter=2.0)


def _question(ask: str, noun: str, first: int, second: int) -> tuple[str, str, str, Options | None]:
    """The question, the end of its working, its answer, and its options if it has some."""
    if ask == "more":
        right = _ANSWERS[0] if first > second else _ANSWERS[1] if second > first else _ANSWERS[2]
        listed = Options(texts=_ANSWERS, right=right)
        return f"Which picture holds more {noun}? {listed.listed}", listed.named, listed.letter, listed
    if ask == "total":
        total = first + second
        return f"How many {noun} do both pictures hold?", f"{first}+{second}={total}.", str(total), None
    high, low = max(first, second), min(first, second)
    question = f"How many more {noun} does one picture hold than the other?"
    return question, f"{high}-{low}={high - low}.", str(high - low), None
