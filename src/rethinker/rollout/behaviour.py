"""The old log-probs, asked of the learner where the engine's are not exactly its own.

An engine with other kernels, or another type, samples from a policy that is a little beside the learner's; the ratio
would then start off 1. One more forward per response, before the first update, sets that right, and the learner weighs
tokens by old / behaviour (`algo.objectives.importance_weights`). The torch engine runs the learner's own module, so its
log-probs are both, up to rounding: in bfloat16 decoding with a cache is 6e-4 nats a token beside a packed forward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from rethinker.types import Experience, Mean, Metrics

TokenLogprobs = Callable[[Sequence[Experience]], list[Float32[np.ndarray, " tokens"]]]
"""Log-probs of every response token under the learner's present weights."""


def recomputed(
    groups: Sequence[Sequence[Experience]], token_logprobs: TokenLogprobs
) -> tuple[list[list[Experience]], Metrics]:
    """The same experience with the learner's log-probs as `old`, and how far from the engine's those are."""
    flat = [experience for group in groups for experience in group]
    found = token_logprobs(flat)
    gaps = [
        np.abs(own - experience.rollout.logprobs)[~experience.rollout.forced]
        for experience, own in zip(flat, found, strict=True)
    ]
    judged = iter(replace(experience, old=own) for experience, own in zip(flat, found, strict=True))
    metrics = {
        "behaviour/recomputed": Mean(sum=1.0),
        "behaviour/moved": Mean(sum=float(sum(gap.sum() for gap in gaps)), count=float(sum(map(len, gaps)))),
    }
    return [[next(judged) for _ in group] for group in groups], metrics
