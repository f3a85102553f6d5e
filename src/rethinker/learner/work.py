"""What one rank does in one update, planned by whoever knows the whole update: totals over all ranks, micro-batches.

Every rank runs as many micro-batches as any other, since ranks that share a model pass it together; where there is
nothing left for one, its micro-batch is empty and is run blank. A plan needs no weights: a model's outline will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from rethinker.algo.objectives import constant_total
from rethinker.learner.micro_batches import Row, split
from rethinker.models.vlm import VLM
from rethinker.types import Experience, Mean

MicroBatch = tuple[Row, ...]
"""Rows of one forward and backward; none, where other ranks have some and this one has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Of one loss component over the whole update: Σ w, and what Σ w ℓ is divided by."""

    weight: float
    divisor: float

    def logged(self, part: Tensor, weights: Tensor) -> Mean:
        """One micro-batch's part of the component; the counts of all add up to 1."""
        return Mean(sum=float(part.detach()), count=float(weights.sum()) / self.weight if self.weight else 0.0)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Work:
    """One rank's part of an update; as it is made, it can be sent elsewhere.

    Attributes:
        step: Number of the update, from 1.
        rl: Total of the policy component, over all ranks. Likewise `imitation`.
        shows_images: Whether any rank's micro-batches have some.
        micro_batches: As many on every rank; none where nothing chosen weighs anything.
    """

    step: int
    rl: Total
    imitation: Total
    shows_images: bool
    micro_batches: tuple[MicroBatch, ...]


class Planner:
    """Cuts updates into work, of about the same counted cost for every rank.

    Args:
        vlm: Tells what a row costs; it may be an outline.
        divisor: As `Objective`.
    """

    def __init__(self, vlm: VLM, *, micro_batch_tokens: int, share_prompts: bool, divisor: int | None) -> None:
        self._vlm = vlm
        self._micro_batch_tokens = micro_batch_tokens
        self._share_prompts = share_prompts
        self._divisor = divisor

    def plan(self, step: int, chosen: Sequence[Experience], *, ranks: int = 1) -> list[Work]:
        """Each rank's work in the update numbered `step`; what weighs nothing does not pass the model."""
        chosen = [e for e in chosen if e.rl.any() or e.imitation.any()]
        rl, imitation = self._total([e.rl for e in chosen]), self._total([e.imitation for e in chosen])
        shows_images = any(e.rollout.prompt.images for e in chosen)
        return [
            Work(step=step, rl=rl, imitation=imitation, shows_images=shows_images, micro_batches=part)
            for part in self.cut(chosen, ranks=ranks)
        ]

    def cut(self, chosen: Sequence[Experience], *, ranks: int = 1) -> list[tuple[MicroBatch, ...]]:
        """Each rank's micro-batches. The n-th ones of all ranks, which run together, are alike in length and cost."""
        pieces = split(
            chosen,
            self._vlm,
            share_prompts=self._share_prompts,
            token_budget=self._micro_batch_tokens,
            ranks=ranks,
        )
        missing = -len(pieces) % ranks
        dealt: list[MicroBatch] = [*map(tuple, pieces), *[()] * missing]
        return [tuple(dealt[rank::ranks]) for rank in range(ranks)]

    def _total(self, weights: Sequence[Float32[np.ndarray, " tokens"]]) -> Total:
        weight = sum(float(each.sum(dtype=np.float64)) for each in weights)
        return Total(weight=weight, divisor=weight if self._divisor is None else constant_total(weights, self._divisor))


def in_order(
    experiences: Sequence[Experience],
    cut: Sequence[Sequence[MicroBatch]],
    found: Sequence[Sequence[Float32[np.ndarray, " tokens"]]],
) -> list[Float32[np.ndarray, " tokens"]]:
    """What was found of each experience of a cut, rank by rank, in the order in which the experiences were given."""
    inside = [e for part in cut for micro in part for row in micro for e in row.experiences]
    by_identity = {id(e): each for e, each in zip(inside, (each for part in found for each in part), strict=True)}
    return [by_identity[id(e)] for e in experiences]
