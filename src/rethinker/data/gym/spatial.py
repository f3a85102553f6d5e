"""Spatial relations: what stands beside, above or below a given piece of a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rethinker.data.gym.canvas import COLOURS
from rethinker.data.gym.cells import PIECES, board, spoken
from rethinker.data.gym.scene import Family, Scene, Sketch

_STEPS = {"right of": (0, 1), "left of": (0, -1), "below": (1, 0), "above": (-1, 0)}


@dataclass(frozen=True, slots=True)
class _Level:
    size: int
    jitter: float
    relations: tuple[str, ...]


_LEVELS = (
    _Level(3, 0.0, ("right of", "left of")),
    _Level(3, 2.0, ("right of", "left of", "below", "above")),
    _Level(4, 3.0, ("right of", "left of", "below", "above")),
)


class Spatial(Family):
    """Level 1: left and right on 3 × 3 cells, aligned; 2: all four directions, looser; 3: 4 × 4. Multiple choice."""

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
        options = tuple(str(colour) for colour in rng.permutation(list(COLOURS)))
        letter = "ABCD"[options.index(neighbour[0])]
        scene_board = board(rng, size=spec.size, pieces=tuple(pieces), jitter=spec.jitter)
        listed = " ".join(f"({'ABCD'[index]}) {option}" for index, option in enumerate(options))
        place = f"{relation} the {spoken(PIECES[anchor])}"
        line = scene_board.row(row) if across else scene_board.column(column)
        question = f"<image>Which colour is the shape directly {place}? {listed}"

        def paint() -> Scene:
            return Scene(
                images=(scene_board.paint(),),
                question=question,
                answer=letter,
                verifier="choice",
                choices=options,
                look=scene_board.describe(),
                work=(
                    f"{'Row' if across else 'Column'}: {', '.join(spoken(piece) for piece in line)}. "
                    f"{place[0].upper()}{place[1:]}: {spoken(neighbour)}. {neighbour[0]} is ({letter})."
                ),
            )

        return Sketch(key=f"{question}|{tuple(pieces)}", paint=paint)
