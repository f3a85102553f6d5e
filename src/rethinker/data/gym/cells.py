"""A square board of cells, each empty or holding one coloured shape: shared by counting and spatial relations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rethinker.data.gym.canvas import COLOURS, FAINT, SHAPES, Canvas
from rethinker.types import Image

CELL = 28
"""Pixels per cell: one image token of a model with 14-pixel patches merged 2 × 2."""

Piece = tuple[str, str]
"""Colour and shape."""

_ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth")

PIECES: tuple[Piece, ...] = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Pieces row by row, None where a cell is empty; `jitter` moves and resizes them by up to so many pixels."""

    size: int
    pieces: tuple[Piece | None, ...]
    jitter: float
    looks: tuple[tuple[float, float, float], ...]

    def row(self, index: int) -> tuple[Piece | None, ...]:
        """The pieces of one row."""
        return self.pieces[index * self.size : (index + 1) * self.size]

    def along(self, down: int, across: int) -> list[tuple[Piece | None, ...]]:
        """Rows (or columns, where `down` is not 0), each read in the direction of the step."""
        lines = [self.pieces[index :: self.size] if down else self.row(index) for index in range(self.size)]
        return [line[::-1] for line in lines] if down + across < 0 else lines

    def describe(self, counts: Sequence[int] = ()) -> str:
        """Say what stands where, cell by cell, row by row; with `counts`, how many of a row are asked for."""
        return told([self.row(index) for index in range(self.size)], counts)

    def paint(self) -> Image:
        """Draw the board with faint grid lines."""
        side = self.size * CELL
        canvas = Canvas(side, side)
        for line in range(1, self.size):
            canvas.line([(line * CELL, 0), (line * CELL, side)], FAINT)
            canvas.line([(0, line * CELL), (side, line * CELL)], FAINT)
        for index, (piece, (dx, dy, grow)) in enumerate(zip(self.pieces, self.looks, strict=True)):
            if piece is not None:
                colour, shape = piece
                x, y = (index % self.size + 0.5) * CELL, (index // self.size + 0.5) * CELL
                centre = (x + dx * self.jitter, y + dy * self.jitter)
                canvas.shape(shape, centre, 10 + grow * self.jitter, COLOURS[colour])
        return canvas.image()


def board(rng: np.random.Generator, *, size: int, pieces: tuple[Piece | None, ...], jitter: float) -> Board:
    """A board whose looks (offsets and sizes within `jitter`) are drawn from `rng`."""
    looks = rng.uniform(-1, 1, (size * size, 3)).round(3)
    return Board(
        size=size, pieces=pieces, jitter=jitter, looks=tuple((float(x), float(y), float(g)) for x, y, g in looks)
    )


def spoken(piece: Piece | None) -> str:
    """How a cell is named in a description."""
    return "none" if piece is None else f"{piece[0]} {piece[1]}"


def told(lines: Sequence[Sequence[Piece | None]], counts: Sequence[int] = ()) -> str:
    """Name the cells of lines, in order, each line with its count where there are any."""
    texts = [", ".join(spoken(piece) for piece in line) for line in lines]
    if counts:
        texts = [f"{text}: {count}" for text, count in zip(texts, counts, strict=True)]
    return " ".join(f"{ordinal}: {text}." for ordinal, text in zip(_ORDINALS, texts, strict=False))
