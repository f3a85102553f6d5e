"""Draws as plain Python values, which families compute and print with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def pick(rng: np.random.Generator, among: Sequence[T]) -> T:
    """One of `among`, each as likely."""
    return among[int(rng.integers(len(among)))]


def whole(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return int(rng.integers(low, high + 1))


def wholes(rng: np.random.Generator, low: int, high: int, count: int) -> tuple[int, ...]:
    """`count` whole numbers from `low` to `high`, both included."""
    return tuple(int(number) for number in rng.integers(low, high + 1, size=count))


def order(rng: np.random.Generator, among: Sequence[T], count: int | None = None) -> tuple[T, ...]:
    """The first `count` of `among` (all by default) in a random order."""
    return tuple(among[int(index)] for index in rng.permutation(len(among))[:count])


def parts(rng: np.random.Generator, total: int, count: int, least: int) -> tuple[int, ...]:
    """`count` whole numbers of at least `least` that add up to `total`; every such row is as likely."""
    places = total - count * (least - 1) - 1
    cuts = [0, *sorted(int(cut) + 1 for cut in rng.permutation(places)[: count - 1]), places + 1]
    return tuple(high - low + least - 1 for low, high in pairwise(cuts))
