"""Per-token losses over flat tensors, and the weighted mean that makes one scalar of them.

loss = Σ_k c_k · Σ w_k ℓ_k / Σ w_k over the components k (policy, imitation, KL, entropy); the weights w are made in
`credit.py`, the coefficients c and the global Σ w belong to the learner. A token the policy did not sample (`sampled`
False: a forced trigger, padding) yields exactly 0, and no gradient, whatever its log-probs are, −inf and NaN included.
Elsewhere nothing is clamped to hide an overflow: a loss or gradient that is not finite reaches the learner, which
counts it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PolicyTerm:
    """The policy component, token by token.

    Attributes:
        losses: −min(ρÂ, clip(ρ)Â), with gradient; 0 where nothing was sampled.
        ratio: ρ before any cap, without gradient; 1 where nothing was sampled.
        clipped: Whether the clip, the cap or the dual clip stopped the token's gradient.
        dual_clipped: Whether Â < 0 and ρ was beyond the dual clip.
    """

    losses: Float[Tensor, " tokens"]
    ratio: Float[Tensor, " tokens"]
    clipped: Bool[Tensor, " tokens"]
    dual_clipped: Bool[Tensor, " tokens"]


def token_log_ratio(
    logprobs: Float[Tensor, " tokens"],
    old_logprobs: Float[Tensor, " tokens"],
    *,
    sampled: Bool[Tensor, " tokens"],
) -> Float[Tensor, " tokens"]:
    """log ρ of every token = current − old (nats); 0 where nothing was sampled."""
    return torch.where(sampled, logprobs - old_logprobs, 0.0)


def sequence_log_ratio(
    logprobs: Float[Tensor, " tokens"],
    old_logprobs: Float[Tensor, " tokens"],
    *,
    sampled: Bool[Tensor, " tokens"],
    lengths: Int[Tensor, " responses"],
) -> Float[Tensor, " tokens"]:
    """log s of every token's response = mean of current − old over its sampled tokens (GSPO, arXiv 2507.18071, eq. 7).

    Every sampled token has its response's ratio, and a part in its gradient. `lengths` are the tokens of each response,
    in order; 0 where nothing was sampled.
    """
    by_token = token_log_ratio(logprobs, old_logprobs, sampled=sampled)
    counts = _by_response(sampled.to(by_token.dtype), lengths)
    means = _by_response(by_token, lengths) / counts.clamp(min=1)
    return torch.where(sampled, means.repeat_interleave(lengths, output_size=len(sampled)), 0.0)


def _by_response(values: Float[Tensor, " tokens"], lengths: Int[Tensor, " responses"]) -> Float[Tensor, " responses"]:
    """Sums over each response; not by index_add, which adds up in any order on CUDA.

    In float64, as it adds one token after the other: in float32 a sum over 32,768 of them is off by 3e-4 of itself.
    """
    summed = torch.segment_reduce(values.double(), "sum", lengths=lengths, axis=0, unsafe=True)
    return summed.to(values.dtype)


def clipped_surrogate(
    log_ratio: Float[Tensor, " tokens"],
    advantages: Float[Tensor, " tokens"],
    *,
    clip_low: float,
    clip_high: float,
    sampled: Bool[Tensor, " tokens"],
    ratio_cap: float = math.inf,
    capped: Bool[Tensor, " tokens"] | None = None,
    dual_clip: float = math.inf,
) -> PolicyTerm:
    """Negated clipped surrogate min(ρÂ, clip(ρ, 1−ε_low, 1+ε_high)Â) of every token (ALGORITHM: GRPO).

    The clip alone leaves ρ unbounded where Â < 0, and a sample replayed across a policy sync can be far off: the cap
    bounds ρ for both signs of Â. The dual clip (arXiv 1912.09729) keeps the surrogate at c·Â or above where
    Â < 0, which bounds ρ by c there. Both are taken on the log-ratio, so that beyond them the gradient is 0, not 0·inf;
    and so is a ratio beyond the clip where Â ≥ 0, whose size changes nothing.

    Args:
        log_ratio: log ρ (nats), with gradient: `token_log_ratio` or `sequence_log_ratio`.
        advantages: Â of each token's response.
        clip_low: ε_low.
        clip_high: ε_high.
        sampled: Tokens the policy sampled: those whose `rl` weight is not 0.
        ratio_cap: C, at least 1.
        capped: Tokens the cap holds for; None means all.
        dual_clip: c, above 1.
    """
    gains = torch.where(sampled, advantages, 0.0)
    flat = math.log1p(clip_high) + 1
    needed = log_ratio.masked_fill((gains >= 0) & (log_ratio > flat), flat)
    most = torch.full_like(log_ratio, math.inf).masked_fill(gains < 0, math.log(dual_clip))
    cap = math.log(ratio_cap)
    most = most.clamp(max=cap) if capped is None else torch.where(capped, most.clamp(max=cap), most)
    bounded = torch.where(most < math.inf, needed.clamp(max=most), needed)  # an unbounded NaN keeps its gradient
    ratio = bounded.exp()
    free, held = ratio * gains, ratio.clamp(1 - clip_low, 1 + clip_high) * gains
    return PolicyTerm(
        losses=-torch.minimum(free, held),
        ratio=log_ratio.detach().exp(),
        clipped=(held < free) | (log_ratio > most),
        dual_clipped=(gains < 0) & (log_ratio > math.log(dual_clip)),
    )


def importance_weights(
    old_logprobs: Float[Tensor, " tokens"],
    behaviour_logprobs: Float[Tensor, " tokens"],
    *,
    cap: float,
    sampled: Bool[Tensor, " tokens"],
    lengths: Int[Tensor, " responses"] | None = None,
) -> Float[Tensor, " tokens"]:
    """Truncated weights min(old / behaviour, C), without gradient; 1 where nothing was sampled.

    They multiply the policy losses of stale samples and of engines whose log-probs differ from the learner's
    (ALGORITHM: GRPO, three log-probs). With `lengths`, the tokens of each response in order, every sampled token has
    its response's weight: of the product over its sampled tokens.
    """
    log_ratio = token_log_ratio(old_logprobs.detach(), behaviour_logprobs.detach(), sampled=sampled)
    if lengths is not None:
        whole = _by_response(log_ratio, lengths).repeat_interleave(lengths, output_size=len(sampled))
        log_ratio = torch.where(sampled, whole, 0.0)
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
    changes nothing; a constant (`constant_total`) gives Dr.GRPO. A token of weight 0 adds 0 even where its loss is not
    finite. A component that has no token anywhere (`total` 0) is 0.
    """
    summed = (torch.where(weights != 0, losses, 0.0) * weights).sum()
    return summed / total if total else summed


def constant_total(weights: Iterable[Float32[np.ndarray, " tokens"]], divisor: int) -> float:
    """`divisor` for every response that has a token in the component: Dr.GRPO's total (arXiv 2503.20783).

    No response's length is in it, so neither short right answers nor long wrong ones are favoured.
    """
    return float(divisor * sum(bool(each.any()) for each in weights))
