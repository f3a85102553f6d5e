"""The gym as a stream of training problems and as a source of held-out ones, drawn when they are asked for."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from jaxtyping import Int64

from rethinker.data.gym.catalogue import GymId, Split, check, problem
from rethinker.data.prefetch import Prefetch, Prepare
from rethinker.errors import DatasetError
from rethinker.interfaces import ProblemSource, Stream
from rethinker.seeding import Purpose, generator
from rethinker.types import Problem, State

Mixture = Sequence[tuple[str, int, float]]
"""Family, level, weight; weights need not add up to 1."""

INDICES = 2**40
"""Training indices are drawn from so many that runs with different seeds see different problems."""

AHEAD_BYTES = 250_000_000
"""Bound on the images of problems drawn ahead."""


class GymStream(Stream):
    """Endless training problems; the one at a position depends on the seed and the position alone.

    As many as were last asked for are drawn ahead where there are threads: those of the next episode.
    """

    def __init__(self, mixture: Mixture, *, seed: int, prepare: Prepare | None = None, threads: int = 0) -> None:
        """Start at position 0.

        Args:
            prepare: What the threads do with a problem besides, such as to encode it for the model.
            threads: Threads that draw ahead; 0 draws each problem when it is asked for.

        Raises:
            DatasetError: the mixture is empty, names what does not exist, or holds a weight that is not positive.
        """
        self._levels = [(family, level) for family, level, _ in mixture]
        self._edges = list(accumulate(_shares(mixture)))
        self._seed = seed
        self._prepare = prepare
        self._threads = threads
        self._go_to(0)

    def take(self, n: int) -> list[Problem]:
        """The next `n` problems."""
        self._announce(n)
        problems = [self._prefetch.take() for _ in range(n)]
        self._position += n
        self._announce(n)
        return problems

    def state_dict(self) -> State:
        """The position."""
        return {"position": self._position}

    def load_state_dict(self, state: State) -> None:
        """Go to the position of `state_dict`."""
        self._go_to(state["position"])

    def _go_to(self, position: int) -> None:
        self._position = position
        self._prefetch = Prefetch(
            lambda position: problem(self._id(position)),
            prepare=self._prepare,
            threads=self._threads,
            memory_bytes=AHEAD_BYTES,
        )

    def _announce(self, ahead: int) -> None:
        for position in range(self._position + len(self._prefetch), self._position + ahead):
            self._prefetch.announce(position)

    def _id(self, position: int) -> GymId:
        rng = generator(self._seed, Purpose.STREAM, step=position)
        place = bisect(self._edges, rng.random(), hi=len(self._edges) - 1)
        family, level = self._levels[place]
        return GymId(family=family, level=level, split="train", index=int(rng.integers(INDICES)))


class GymSource(ProblemSource):
    """Held-out problems, the same for every run: row i is the problem with index i of the family that is its turn."""

    def __init__(self, mixture: Mixture, *, split: Split, size: int) -> None:
        """Hold `size` problems of `split`.

        Raises:
            DatasetError: as for `GymStream`.
        """
        self._levels = [(family, level) for family, level, _ in mixture]
        self._turns = turns(_shares(mixture), size)
        self._split = split

    def __len__(self) -> int:
        return len(self._turns)

    def id(self, index: int) -> str:
        """The problem's id."""
        return str(self._id(index))

    def __getitem__(self, index: int) -> Problem:
        """Draw one problem."""
        return problem(self._id(index))

    def _id(self, index: int) -> GymId:
        family, level = self._levels[self._turns[index]]
        return GymId(family=family, level=level, split=self._split, index=range(len(self))[index])


def turns(shares: Sequence[float], size: int) -> Int64[np.ndarray, " size"]:
    """Which of the shares each row belongs to: always the one furthest behind, the first of them on a tie.

    Any first rows hold every share to within one row, so a larger source begins with the smaller one.
    """
    due = np.asarray(shares, dtype=np.float64)
    given = np.zeros(len(due), dtype=np.int64)
    rows = np.empty(size, dtype=np.int64)
    for row in range(size):
        rows[row] = np.argmax((due * (row + 1) - given).round(9))
        given[rows[row]] += 1
    return rows


def _shares(mixture: Mixture) -> list[float]:
    if not mixture:
        raise DatasetError("the gym mixture is empty; name at least one family in data.mixture")
    for family, level, weight in mixture:
        check(family, level)
        if not (weight > 0 and math.isfinite(weight)):
            raise DatasetError(f"gym family {family}-{level} has weight {weight}; it must be positive and finite")
    total = sum(weight for _, _, weight in mixture)
    return [weight / total for _, _, weight in mixture]
