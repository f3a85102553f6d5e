"""Bad rows: set aside with their reason, counted, and too many of them stop the run."""

from __future__ import annotations

import sys

from rethinker.errors import DatasetError
from rethinker.types import State

SHOWN = 5


class Quarantine:
    """Counts different rows, seen and set aside: one that is read again, in a later epoch or measurement, is no other.

    Args:
        max_share: Largest share of bad rows among those seen.
        minimum: Rows to see before the share is judged, so that one early bad row stops nothing.
        training_rows: Rows of the training side; more reads of it than these are of rows seen before.
    """

    def __init__(self, *, max_share: float, minimum: int = 50, training_rows: int = sys.maxsize) -> None:
        self._max_share = max_share
        self._minimum = minimum
        self._training_rows = training_rows
        self._reasons: dict[str, str] = {}
        self._training_reads = 0
        self._held_out: set[str] = set()

    def __len__(self) -> int:
        """Number of different rows set aside."""
        return len(self._reasons)

    def saw(self, rows: int = 1) -> None:
        """Count rows that the training stream has read, good or bad; it reads each once before any twice."""
        self._training_reads += rows

    def saw_held_out(self, id: str) -> None:  # noqa: A002 (the field's name)
        """Count a held-out row, good or bad."""
        self._held_out.add(id)

    def add(self, id: str, reason: str) -> None:  # noqa: A002 (the field's name)
        """Set aside one of the rows seen.

        Raises:
            DatasetError: as `judge`.
        """
        self._reasons.setdefault(id, reason)
        self.judge()

    def judge(self, *, at_end: bool = False) -> None:
        """Compare the share with what is allowed.

        Args:
            at_end: No more rows will come: more than one bad row is judged however few were seen.

        Raises:
            DatasetError: the share of bad rows is above `max_share`, and at least `minimum` rows were seen.
        """
        bad, seen = len(self._reasons), min(self._training_reads, self._training_rows) + len(self._held_out)
        enough = bad > 1 if at_end else seen >= self._minimum
        if enough and bad > self._max_share * seen:
            raise DatasetError(
                f"{bad} of the {seen} rows read are bad, more than data.max_quarantined="
                f"{self._max_share:g} allows; mend them or raise it. {self.summary()}"
            )

    def summary(self) -> str:
        """The first reasons in one text; empty when nothing was set aside."""
        return "; ".join(f"{name}: {reason}" for name, reason in list(self._reasons.items())[:SHOWN])

    def rows(self) -> list[dict[str, str]]:
        """`{"id": …, "reason": …}` per row set aside, in the order they were met; another thread may be adding some."""
        return [{"id": name, "reason": reason} for name, reason in list(self._reasons.items())]

    def state_dict(self) -> State:
        """What was seen and set aside."""
        return {
            "reasons": dict(self._reasons),
            "training_reads": self._training_reads,
            "held_out": sorted(self._held_out),
        }

    def load_state_dict(self, state: State) -> None:
        """Restore `state_dict`."""
        self._reasons = dict(state["reasons"])
        self._training_reads, self._held_out = state["training_reads"], set(state["held_out"])
