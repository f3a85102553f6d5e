"""Bad rows: set aside with their reason, counted, and too many of them stop the run."""

from __future__ import annotations

from rethinker.errors import DatasetError
from rethinker.types import State

SHOWN = 5


class Quarantine:
    """Counts rows seen and rows set aside. A row met again in a later epoch is counted again, and listed once."""

    def __init__(self, *, max_share: float, minimum: int = 50) -> None:
        """Start empty.

        Args:
            max_share: Largest share of bad rows among those seen.
            minimum: Rows to see before the share is judged, so that one early bad row stops nothing.
        """
        self._max_share = max_share
        self._minimum = minimum
        self._reasons: dict[str, str] = {}
        self._seen = 0
        self._bad = 0

    def __len__(self) -> int:
        """Number of different rows set aside."""
        return len(self._reasons)

    def saw(self, rows: int = 1) -> None:
        """Count rows read, good or bad."""
        self._seen += rows

    def add(self, id: str, reason: str) -> None:  # noqa: A002 (the field's name)
        """Set aside one of the rows seen.

        Raises:
            DatasetError: the share of bad rows is now above `max_share`, and at least `minimum` rows were seen.
        """
        self._bad += 1
        self._reasons.setdefault(id, reason)
        if self._seen >= self._minimum and self._bad > self._max_share * self._seen:
            raise DatasetError(
                f"{self._bad} of the {self._seen} rows read are bad, more than data.max_quarantined="
                f"{self._max_share:g} allows; mend them or raise it. {self.summary()}"
            )

    def summary(self) -> str:
        """The first reasons in one text; empty when nothing was set aside."""
        return "; ".join(f"{name}: {reason}" for name, reason in list(self._reasons.items())[:SHOWN])

    def rows(self) -> list[dict[str, str]]:
        """`{"id": …, "reason": …}` per row set aside, in the order they were met."""
        return [{"id": name, "reason": reason} for name, reason in self._reasons.items()]

    def state_dict(self) -> State:
        """What was seen and set aside."""
        return {"reasons": dict(self._reasons), "seen": self._seen, "bad": self._bad}

    def load_state_dict(self, state: State) -> None:
        """Restore `state_dict`."""
        self._reasons = dict(state["reasons"])
        self._seen, self._bad = state["seen"], state["bad"]
