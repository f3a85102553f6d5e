"""What a family produces: a sketch (what the scene holds, cheap) that paints itself into a scene (pixels and texts)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rethinker.types import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A painted problem with the two halves of its worked answer.

    Attributes:
        look: Describes what the pictures show, as far as the question needs it.
        work: Computes from the description, up to but without the final box.
        choices: Option texts for a multiple-choice question; `answer` is then the option's letter.
    """

    images: tuple[Image, ...]
    question: str
    answer: str
    verifier: str
    look: str
    work: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A scene before it is painted.

    Attributes:
        key: All that the question depends on, and nothing of mere looks; its hash decides the split.
        paint: Makes the scene.
    """

    key: str
    paint: Callable[[], Scene]


class Family(ABC):
    """A family of problems. Final subclasses are listed in `catalogue.FAMILIES`."""

    name: ClassVar[str]
    category: ClassVar[str]
    levels: ClassVar[int]

    @abstractmethod
    def sketch(self, rng: np.random.Generator, level: int) -> Sketch:
        """Draw one sketch of difficulty `level` (1 is the easiest)."""
