"""Choosing tokens: one keyed uniform per token, turned into an id by the inverse of the cumulative distribution.

A sample's draws depend on its own seed and position alone, so what its neighbours in the batch do cannot change them.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from rethinker.interfaces import Sampling


def uniforms(seeds: tuple[int, ...], count: int) -> Float64[np.ndarray, "samples count"]:
    """The draws of each sample, one per token."""
    return np.stack([np.random.default_rng(seed).random(count) for seed in seeds])


def choose(
    scores: Float[Tensor, "rows vocabulary"],
    draws: Float[Tensor, " rows"],
    *,
    sampling: Sampling,
    forbidden: Bool[Tensor, "rows vocabulary"] | Bool[Tensor, " vocabulary"],
) -> tuple[Int[Tensor, " rows"], Float[Tensor, " rows"]]:
    """Pick an id per row; return it with its log-probability at temperature 1 before any filter (nats).

    Args:
        scores: Logits in float32.
        draws: One uniform in [0, 1) per row; ignored when greedy.
        forbidden: Ids that must not be picked.
    """
    logprobs = torch.log_softmax(scores, dim=-1)
    allowed = scores.masked_fill(forbidden, -torch.inf)
    if sampling.temperature == 0:
        picked = allowed.argmax(-1)
    else:
        picked = _inverse_cdf(_filtered(allowed / sampling.temperature, sampling), draws)
    return picked, logprobs.gather(-1, picked[:, None])[:, 0]


def _filtered(scores: Float[Tensor, "rows vocabulary"], sampling: Sampling) -> Float[Tensor, "rows vocabulary"]:
    """Probabilities after top-k and top-p."""
    if 0 < sampling.top_k < scores.shape[-1]:
        least = scores.topk(sampling.top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    probabilities = torch.softmax(scores, dim=-1)
    if sampling.top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True)
        outside = ordered.cumsum(-1) - ordered >= sampling.top_p
        probabilities = probabilities.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), 0.0)
    return probabilities


def _inverse_cdf(
    probabilities: Float[Tensor, "rows vocabulary"], draws: Float[Tensor, " rows"]
) -> Int[Tensor, " rows"]:
    """The first id whose cumulative (unnormalised) probability exceeds the draw; never one of probability 0."""
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1:]
    # Rounding could lift a draw of nearly 1 to the total itself, beyond the last id that has a probability.
    targets = torch.minimum(draws.double()[:, None] * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(cumulative, targets, right=True)[:, 0]
