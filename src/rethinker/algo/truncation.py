"""Responses cut at the length limit: which they are, and the penalty that warns of the limit.

What is done about them is in `credit.credit`. A length is that of the first response, which all of a group sample
under one limit: a kept second look is measured by the response it replaces.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from rethinker.types import Group, Rethought, Rollout


def soft_penalty(group: Group, *, max_tokens: int, buffer: int) -> Float32[np.ndarray, " group"]:
    """What each response's length takes from its reward: DAPO's soft overlong punishment (arXiv 2503.14476, eq. 13).

    0 up to `max_tokens − buffer` tokens, from there down on a line to −1 at `max_tokens`.
    """
    lengths = np.array([first_length(rollout) for rollout in group.rollouts])
    return np.clip((max_tokens - buffer - lengths) / buffer, -1, 0).astype(np.float32)


def first_length(rollout: Rollout) -> int:
    """Tokens of the first response, the end token included."""
    return len(rollout.first.token_ids if isinstance(rollout, Rethought) else rollout.token_ids)


def is_truncated(rollout: Rollout) -> bool:
    """Whether the response was cut at the limit; a kept second look never was."""
    return rollout.finish_reason == "length"
