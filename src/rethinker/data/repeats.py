"""Which rows repeat the id of an earlier one; remembers 64-bit hashes, not the ids."""

from __future__ import annotations

import hashlib


class Repeats:
    """Ids noted row by row. A repeated one would key the same random draws and meet its twin in a round."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._firsts: dict[int, int] = {}

    def note(self, index: int, name: str) -> None:
        """Note the id of one row; rows come in order."""
        digest = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
        first = self._rows.setdefault(digest, index)
        if first != index:
            self._firsts[index] = first

    def seal(self) -> None:
        """Forget what only noting needs."""
        self._rows.clear()

    def first(self, index: int) -> int | None:
        """The earlier row with this row's id, None where the id is its own."""
        return self._firsts.get(index)
