"""Counting: how many pieces of a colour, of a shape, or of both stand on a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS, SHAPES
from rethinker.data.gym.cells import PIECES, Piece, board
from rethinker.data.gym.draws import pick
from rethinker.data.gym.scene import Family, Scene, Sketch


@dataclass(frozen=True, slots=True)
class _Level:
    size: int
    empty: float
    jitter: float


_LEVELS = (_Level(3, 0.35, 0.0), _Level(3, 0.25, 2.0), _Level(4, 0.35, 2.0), _Level(5, 0.35, 3.0))


class Counting(Family):
    """Level 1: 3 × 3 cells, aligned; 2: looser; 3: 4 × 4; 4: 5 × 5."""

    name: ClassVar[str] = "counting"
    category: ClassVar[str] = "counting"
    levels: ClassVar[int] = len(_LEVELS)

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw a board and a question about it; what is asked for stands on it more often than chance."""
        size, empty, jitter = _LEVELS[level - 1].size, _LEVELS[level - 1].empty, _LEVELS[level - 1].jitter
        colour = str(rng.choice(list(COLOURS)))
        shape = str(rng.choice(SHAPES))
        asks_colour, asks_shape = ((True, False), (False, True), (True, True))[rng.integers(3)]
        wanted = [p for p in PIECES if (p[0] == colour or not asks_colour) and (p[1] == shape or not asks_shape)]
        others = [p for p in PIECES if p not in wanted]
        share = rng.uniform(0.0, 0.75)

        def draw() -> Piece | None:
            if rng.random() < empty:
                return None
            return pick(rng, wanted if rng.random() < share else others)

        pieces = tuple(draw() for _ in range(size * size))
        scene_board = board(rng, size=size, pieces=pieces, jitter=jitter)
        noun = f"{colour + ' ' if asks_colour else ''}{shape if asks_shape else 'shape'}s"
        counts = [sum(piece in wanted for piece in scene_board.row(row)) for row in range(size)]
        question = f"<image>How many {noun} are there?"

        def paint() -> Scene:
            return Scene(
                images=(scene_board.paint(),),
                question=question,
                answer=str(sum(counts)),
                verifier="number",
                look=scene_board.describe(counts),
                work=f"{noun[0].upper()}{noun[1:]}: {'+'.join(map(str, counts))}={sum(counts)}.",
            )

        return Sketch(key=f"{question}|{pieces}", paint=paint)
