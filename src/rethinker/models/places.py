"""Where and how a model computes whose own tensors do not say: its weights are in pieces, elsewhere, or not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


class Inside(Protocol):
    """Calls a function where the whole of a model can be read: of a sharded one, within its root's forward."""

    def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and how a model computes whose weights lie elsewhere, in pieces or in another type."""

    device: torch.device
    dtype: torch.dtype
    inside: Inside


def directly(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Of a model that is whole."""
    return function(*args, **kwargs)
