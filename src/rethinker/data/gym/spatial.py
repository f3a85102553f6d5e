"""Spatial relations: what stands beside, above or below a given piece of a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS
from rethinker.data.gym.cells import PIECES, board, spoken, told
from rethinker.data.gym.draws import order
from rethinker.data.gym.options import Options
from rethinker.data.gym.scene import Family, Scene, Sketch

_STEPS = {"right of": (0, 1), "left of": (0, -1), "below": (1, 0), "above": (-1, 0)}


@dataclass(frozen=True, slots=True)
class _Level:
    size: int
    jitter: float
    relations: tuple[str, ...]
    shuffled: bool


_LEVELS = (
    _Level(3, 0.0, ("right of", "left of"), shuffled=False),
    _Level(3, 2.0, ("right of", "left of", "below", "above"), shuffled=True),
    _Level(4, 3.0, ("right of", "left of", "below", "above"), shuffled=True),
)


class Spatial(Family):
    """Level 1: left and right on 3 × 3 cells, aligned; 2: all four directions, looser; 3: 4 × 4. Multiple choice.

    A worked answer reads the board in the direction asked about, so that what follows the piece is the answer."""

    name: ClassVar[str] = "spatial"
    category: ClassVar[str] = "spatial"
    levels: ClassVar[int] = len(_LEVELS)

    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw a full board on which the piece asked about is unique, and a neighbour to name the colour of."""
        spec = _LEVELS[level - 1]
        relation = spec.relations[int(rng.integers(len(spec.relations)))]
        down, across = _STEPS[relation]
        row = int(rng.integers(max(0, -down), spec.size - max(0, down)))
        column = int(rng.integers(max(0, -across), spec.size - max(0, across)))
        anchor = int(rng.integers(len(PIECES)))
        rest = [piece for index, piece in enumerate(PIECES) if index != anchor]
        pieces = [rest[int(i)] for i in rng.integers(len(rest), size=spec.size**2)]
        pieces[row * spec.size + column] = PIECES[anchor]
        neighbour = pieces[(row + down) * spec.size + column + across]
        colours = order(rng, tuple(COLOURS)) if spec.shuffled else tuple(COLOURS)
        listed = Options(texts=colours, right=neighbour[0])
        scene_board = board(rng, size=spec.size, pieces=tuple(pieces), jitter=spec.jitter)
        place = f"{relation} the {spoken(PIECES[anchor])}"
        question = f"<image>Which colour is the shape directly {place}? {listed.listed}"

        def paint() -> Scene:
            return Scene(
                images=(scene_board.paint(),),
                question=question,
                answer=listed.letter,
                verifier="choice",
                choices=listed.texts,
                look=told(scene_board.along(down, across)),
                work=f"So {spoken(PIECES[anchor])}, {spoken(neighbour)}. {listed.named}",
            )

        return Sketch(key=f"{question}|{tuple(pieces)}", paint=paint)
