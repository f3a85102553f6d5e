"""Every family by name, and the one function from a problem's id to the problem."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from typing import Literal

from rethinker.data.gym.angles import Angles
from rethinker.data.gym.areas import Areas
from rethinker.data.gym.bars import Bars
from rethinker.data.gym.clock import Clock
from rethinker.data.gym.compare import Compare
from rethinker.data.gym.counting import Counting
from rethinker.data.gym.functions import Functions
from rethinker.data.gym.gauge import Gauge
from rethinker.data.gym.lengths import Lengths
from rethinker.data.gym.lines import Lines
from rethinker.data.gym.pie import Pie
from rethinker.data.gym.scene import Family, Scene, Sketch
from rethinker.data.gym.spatial import Spatial
from rethinker.data.gym.tables import Tables
from rethinker.data.gym.words import Words
from rethinker.errors import DatasetError
from rethinker.seeding import Purpose, generator
from rethinker.types import Problem

Split = Literal["train", "validation", "test"]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Counting(),
        Compare(),
        Bars(),
        Lines(),
        Pie(),
        Spatial(),
        Angles(),
        Lengths(),
        Areas(),
        Functions(),
        Clock(),
        Gauge(),
        Tables(),
        Words(),
    )
}
"""By name, related ones together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GymId:
    """The parsed id of a gym problem; its text is `gym/<family>-<level>/<split>/<index>`."""

    family: str
    level: int
    split: Split
    index: int

    def __str__(self) -> str:
        return f"gym/{self.family}-{self.level}/{self.split}/{self.index}"

    def __post_init__(self) -> None:
        check(self.family, self.level)


def check(family: str, level: int) -> None:
    """Refuse what does not exist, and name the nearest that does.

    Raises:
        DatasetError: there is no such family, or it has no such level.
    """
    if family not in FAMILIES:
        near = difflib.get_close_matches(family, FAMILIES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"the families are {', '.join(FAMILIES)}"
        raise DatasetError(f"unknown gym family {family!r}; {hint}")
    levels = FAMILIES[family].levels
    if not 1 <= level <= levels:
        nearest = min(max(level, 1), levels)
        raise DatasetError(f"gym family {family} has levels 1 to {levels}, not {level}; the nearest is {nearest}")


def split_of(key: str) -> Split:
    """The split a scene belongs to, by the hash of its key: 1 in 10 test, 1 in 10 validation, the rest train."""
    bucket = hashlib.blake2b(key.encode(), digest_size=8).digest()[0] % 10
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


def sketch(gym_id: GymId) -> Sketch:
    """Draw the sketch of an id.

    Sketches are drawn under the id's own key until one falls in the id's split, so splits are disjoint in content by
    construction: the same picture with the same question can never stand in two of them.
    """
    family = FAMILIES[gym_id.family]
    rng = generator(0, Purpose.SCENE, problem_id=str(gym_id))
    while True:
        drawn = family.sketch(rng, gym_id.level)
        if split_of(f"{gym_id.family}-{gym_id.level}|{drawn.key}") == gym_id.split:
            return drawn


def scene(gym_id: GymId) -> Scene:
    """Paint the scene of an id (see `sketch`)."""
    return sketch(gym_id).paint()


def problem(gym_id: GymId) -> Problem:
    """The problem of an id (see `scene`)."""
    return as_problem(gym_id, scene(gym_id))


def as_problem(gym_id: GymId, painted: Scene) -> Problem:
    """Drop a scene's worked answer: what the policy may see."""
    return Problem(
        id=str(gym_id),
        images=painted.images,
        question=painted.question,
        answer=painted.answer,
        verifier=painted.verifier,
        choices=painted.choices,
        category=FAMILIES[gym_id.family].category,
        source=f"gym/{gym_id.family}-{gym_id.level}",
    )
