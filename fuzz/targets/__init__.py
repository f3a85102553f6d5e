"""The targets, a module each: `check(data)` raises for what must not be, `SEEDS` are inputs to begin with.

What a reader may refuse an input with, it names itself; `check` catches that alone. An assertion says what holds of
what was accepted.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NAMES = tuple(sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py")))
CORPUS = Path(__file__).parents[1] / "corpus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One of them."""

    name: str
    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]

    @property
    def inputs(self) -> list[bytes]:
        """Its seeds, and what fuzzing kept."""
        kept = sorted((CORPUS / self.name).glob("*"))
        return [*self.seeds, *(file.read_bytes() for file in kept)]


def load(name: str) -> Target:
    """Import a target, and with it what it tries."""
    module = importlib.import_module(f"fuzz.targets.{name}")
    return Target(name=name, check=module.check, seeds=module.SEEDS)


def parts(data: bytes, count: int) -> list[bytes]:
    """An input cut into so many, at its first zero bytes."""
    cut = data.split(b"\0", count - 1)
    return [*cut, *[b""] * (count - len(cut))]


def text(data: bytes) -> str:
    """Any bytes as text; what is no UTF-8 becomes halves of surrogate pairs, as JSON can hold them too."""
    return data.decode("utf-8", "surrogateescape")
