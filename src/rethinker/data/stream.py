"""An endless stream over a finite source: every epoch is a permutation of its own, keyed by the epoch's number."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from rethinker.data.quarantine import Quarantine
from rethinker.errors import DataError, DatasetError
from rethinker.interfaces import ProblemSource, Stream
from rethinker.seeding import Purpose, generator
from rethinker.types import Problem, State


class ProblemStream(Stream):
    """Problems of a source, epoch after epoch. Bad rows are skipped, and counted in the quarantine.

    A problem keeps its id in later epochs. An epoch's order depends on the seed and its number alone.
    """

    def __init__(self, source: ProblemSource, *, seed: int, quarantine: Quarantine) -> None:
        """Start at the first row of epoch 0.

        Raises:
            DatasetError: the source has no rows.
        """
        if not len(source):
            raise DatasetError("the training side of the data set has no rows; give it more, or lower data.held_out")
        self._source = source
        self._seed = seed
        self._quarantine = quarantine
        self._epoch = 0
        self._position = 0
        self._order = self._permutation()

    def take(self, n: int) -> list[Problem]:
        """The next `n` good problems.

        Raises:
            DatasetError: too large a share of the rows is bad, or as many bad rows in a row as the source has.
        """
        problems: list[Problem] = []
        bad_in_a_row = 0
        while len(problems) < n:
            row = self._next_row()
            try:
                problems.append(self._source[row])
                bad_in_a_row = 0
            except DataError as error:
                bad_in_a_row += 1
                self._quarantine.add(self._source.id(row), str(error))
            if bad_in_a_row == len(self._source):
                raise DatasetError(
                    f"none of the {bad_in_a_row} rows tried one after another is good. {self._quarantine.summary()}"
                )
        return problems

    def state_dict(self) -> State:
        """The position: epoch, and rows of it that are spent."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: State) -> None:
        """Go to the position of `state_dict`."""
        self._epoch, self._position = state["epoch"], state["position"]
        self._order = self._permutation()

    def _next_row(self) -> int:
        if self._position == len(self._source):
            self._epoch, self._position = self._epoch + 1, 0
            self._order = self._permutation()
        row = int(self._order[self._position])
        self._position += 1
        self._quarantine.saw()
        return row

    def _permutation(self) -> Int64[np.ndarray, " rows"]:
        return generator(self._seed, Purpose.STREAM, step=self._epoch).permutation(len(self._source))
