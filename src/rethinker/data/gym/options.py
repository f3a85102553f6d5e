"""The options of a multiple-choice question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rethinker.data.gym.draws import order

LETTERS = "ABCD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Texts in the order of their letters, and which of them is right."""

    texts: tuple[str, ...]
    right: str

    @property
    def letter(self) -> str:
        """The right option's letter."""
        return LETTERS[self.texts.index(self.right)]

    @property
    def listed(self) -> str:
        """How a question lists them."""
        return " ".join(f"({letter}) {text}" for letter, text in zip(LETTERS, self.texts))

    @property
    def named(self) -> str:
        """How a worked answer ends."""
        return f"{self.right} is ({self.letter})."


def options(rng: np.random.Generator, right: str, wrong: Sequence[str]) -> Options:
    """The right option among up to three of the wrong ones, in a random order; texts that repeat count once."""
    others = order(rng, [text for text in dict.fromkeys(wrong) if text != right], len(LETTERS) - 1)
    return Options(texts=order(rng, (right, *others)), right=right)


def near(value: int, step: int = 1) -> list[str]:
    """Wrong numbers a slip would give: a few steps beside `value`, none below 0."""
    return [str(value + step * off) for off in (-3, -2, -1, 1, 2, 3) if value + step * off >= 0]
