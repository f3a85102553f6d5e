"""What an update reports of itself (`policy/…`, `tokens/padding`)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from rethinker.algo.objectives import PolicyTerm
from rethinker.learner.collate import Batch
from rethinker.types import Mean, Metrics

NOTHING: Metrics = {
    name: Mean(sum=0.0, count=0.0)
    for name in (
        "policy/loss",
        "policy/imitation_loss",
        "policy/ratio_mean",
        "policy/clip_fraction",
        "policy/entropy",
        "tokens/padding",
    )
}
"""What every update reports, an empty one included."""

LOSSES = ("policy/loss", "policy/imitation_loss", "policy/kl")


def token_metrics(batch: Batch, term: PolicyTerm, entropy: Tensor, sampled: Tensor) -> Metrics:
    """Means over sampled tokens, and how much of the batch was padding."""
    count = float(sampled.sum())
    return {
        "policy/ratio_mean": Mean(sum=float(term.ratio[sampled].sum()), count=count),
        "policy/clip_fraction": Mean(sum=float(term.clipped[sampled].sum()), count=count),
        "policy/entropy": Mean(sum=float(entropy[sampled].sum()), count=count),
        "tokens/padding": Mean(sum=batch.padding, count=batch.slots),
    }


def correction_metrics(correction: Float[Tensor, " sampled"], cap: float) -> Metrics:
    """The mean weight, and the share of tokens whose weight the cap held."""
    count = float(len(correction))
    return {
        "policy/correction": Mean(sum=float(correction.sum()), count=count),
        "policy/correction_capped": Mean(sum=float((correction >= cap).sum()), count=count),
    }
