"""Hold out part of a finite source by the hash of each row's id: the same rows whatever the order, seed or length."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from rethinker.interfaces import ProblemSource
from rethinker.types import Outline, Problem


class Subset(ProblemSource):
    """Chosen rows of another source, in order."""

    def __init__(self, source: ProblemSource, rows: Sequence[int]) -> None:
        self._source = source
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def fingerprint(self) -> str:
        """The whole source's."""
        return self._source.fingerprint

    def id(self, index: int) -> str:
        """The row's id in the whole source."""
        return self._source.id(self._rows[index])

    def __getitem__(self, index: int) -> Problem:
        """Read one row.

        Raises:
            DataError: the row cannot become a problem.
        """
        return self._source[self._rows[index]]

    def outline(self, index: int) -> Outline:
        """The row's outline in the whole source."""
        return self._source.outline(self._rows[index])


def split(source: ProblemSource, share: float, *, salt: str = "held_out") -> tuple[Subset, Subset]:
    """Divide a source into (kept, held out), disjoint and together whole.

    A row is held out when its hash lies in the lowest `share` of the hash range, so rows added later move no other
    row. With two rows or more neither side is left empty: the row nearest the boundary changes sides.

    Args:
        source: What to divide; only ids are read.
        share: Expected share held out, in [0, 1].
        salt: Names the split; a part must be divided further under another salt, or the same hash decides both.
    """
    places = [(_place(source.id(row), salt), row) for row in range(len(source))]
    held = {row for place, row in places if place < share}
    if len(places) >= 2 and not held:
        held = {min(places)[1]}
    elif len(places) >= 2 and len(held) == len(places):
        held.remove(max(places)[1])
    return Subset(source, sorted(set(range(len(source))) - held)), Subset(source, sorted(held))


def sample(source: ProblemSource, rows: int) -> ProblemSource:
    """At most so many rows of a source, those lowest by hash, in order: a file's first rows may all be of one kind."""
    if len(source) <= rows:
        return source
    return Subset(source, sorted(sorted(range(len(source)), key=lambda row: _place(source.id(row), "sample"))[:rows]))


def _place(id: str, salt: str) -> float:  # noqa: A002 (the field's name)
    """Where an id falls in [0, 1)."""
    digest = hashlib.blake2b(f"{salt}|{id}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "little") / 2**48
