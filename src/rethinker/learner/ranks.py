"""What a learner needs of the ranks that hold its model together: almost nothing, and nothing at all when it is alone.

The sharded case is in `distributed/sharding.py`. Whatever decides what a rank does next (a skipped step, say) is
decided from gathered numbers, so that every rank decides it alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float64
from torch import Tensor


class Ranks(ABC):
    """The ranks of one model, this one among them."""

    @abstractmethod
    def gather(self, *values: float) -> Float64[Tensor, "ranks values"]:
        """Every rank's values; all ranks ask at the same time."""

    @abstractmethod
    def before_backward(self, *, last: bool) -> None:
        """Called before each micro-batch's forward; gradients are wanted after the last."""


class Alone(Ranks):
    """One rank that holds the whole model."""

    def gather(self, *values: float) -> Float64[Tensor, "ranks values"]:
        """Its own."""
        return torch.tensor([values], dtype=torch.float64)

    def before_backward(self, *, last: bool) -> None:
        """Gradients add up by themselves."""
