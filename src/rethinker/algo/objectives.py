"""Per-token losses over flat tensors, and the weighted mean that makes one scalar of them.

loss = Σ_k c_k · Σ w_k ℓ_k / Σ w_k over the components k (policy, imitation, KL); the weights w are made in `credit.py`,
the coefficients c and the global Σ w belong to the learner. A token the policy did not sample (`sampled` False: a
forced trigger, padding) yields exactly 0, and no gradient, whatever stands in its log-probs, −inf and NaN included.
Elsewhere nothing is clamped to hide an overflow: a loss or gradient that is not finite reaches the learner, which
counts it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PolicyTerm:
    """The policy component, token by token.

    Attributes:
        losses: −min(ρÂ, clip(ρ)Â), with gradient; 0 where nothing was sampled.
        ratio: ρ = current / old before any cap, without gradient; 1 where nothing was sampled.
        clipped: Whether the clip or the cap stopped the token's gradient.
    """

    losses: Float[Tensor, " tokens"]
    ratio: Float[Tensor, " tokens"]
    clipped: Bool[Tensor, " tokens"]


def clipped_surrogate(
    logprobs: Float[Tensor, " tokens"],
    old_logprobs: Float[Tensor, " tokens"],
    advantages: Float[Tensor, " tokens"],
    *,
    clip_low: float,
    clip_high: float,
    sampled: Bool[Tensor, " tokens"],
    ratio_cap: float = math.inf,
    capped: Bool[Tensor, " tokens"] | None = None,
) -> PolicyTerm:
    """Negated clipped surrogate min(ρÂ, clip(ρ, 1−ε_low, 1+ε_high)Â) of every token (ALGORITHM: GRPO).

    The clip alone leaves ρ unbounded where Â < 0, and a sample replayed across a policy sync can be far off: the cap
    bounds ρ for both signs of Â. It is taken on the log-ratio, so that beyond it the gradient is 0, not 0·inf.

    Args:
        logprobs: Under the current weights (nats), with gradient.
        old_logprobs: Under the weights before the episode's first update.
        advantages: Â of each token's response.
        clip_low: ε_low.
        clip_high: ε_high.
        sampled: Tokens the policy sampled: those whose `rl` weight is not 0.
        ratio_cap: C, at least 1.
        capped: Tokens the cap holds for; None means all.
    """
    log_ratio = torch.where(sampled, logprobs - old_logprobs, 0.0)
    bounded = log_ratio.clamp(max=math.log(ratio_cap))
    if capped is not None:
        bounded = torch.where(capped, bounded, log_ratio)
    ratio = bounded.exp()
    gains = torch.where(sampled, advantages, 0.0)
    free, held = ratio * gains, ratio.clamp(1 - clip_low, 1 + clip_high) * gains
    return PolicyTerm(
        losses=-torch.minimum(free, held),
        ratio=log_ratio.detach().exp(),
        clipped=(held < free) | (bounded < log_ratio),
    )


def importance_weights(
    old_logprobs: Float[Tensor, " tokens"],
    behaviour_logprobs: Float[Tensor, " tokens"],
    *,
    cap: float,
    sampled: Bool[Tensor, " tokens"],
) -> Float[Tensor, " tokens"]:
    """Truncated weights min(old / behaviour, C), without gradient; 1 where nothing was sampled.

    They multiply the policy losses of stale samples and of engines whose log-probs differ from the learner's
    (ALGORITHM: GRPO, three log-probs).
    """
    log_ratio = torch.where(sampled, old_logprobs.detach() - behaviour_logprobs.detach(), 0.0)
    return log_ratio.exp().clamp(max=cap)


def k3(
    logprobs: Float[Tensor, " tokens"],
    reference_logprobs: Float[Tensor, " tokens"],
    *,
    sampled: Bool[Tensor, " tokens"],
) -> Float[Tensor, " tokens"]:
    """Estimate KL(π_θ ‖ π_ref) by r − log r − 1 with r = π_ref / π_θ: unbiased and never negative."""
    log_ratio = torch.where(sampled, reference_logprobs - logprobs, 0.0)
    return log_ratio.expm1() - log_ratio


def imitation(logprobs: Float[Tensor, " tokens"]) -> Float[Tensor, " tokens"]:
    """Negative log-likelihood of every token; which tokens count is for the weights to say."""
    return -logprobs


def weighted_mean(
    losses: Float[Tensor, " tokens"], weights: Float[Tensor, " tokens"], *, total: float
) -> Float[Tensor, ""]:
    """Σ w ℓ / total: one micro-batch's share of the mean over the global batch of an update.

    With the global Σ w as `total` the shares of all micro-batches add up to the mean exactly, so accumulating gradients
    changes nothing; a constant gives Dr.GRPO. A token of weight 0 adds 0 even where its loss is not finite. A component
    that has no token anywhere (`total` 0) is 0.
    """
    summed = (torch.where(weights != 0, losses, 0.0) * weights).sum()
    return summed / total if total else summed
