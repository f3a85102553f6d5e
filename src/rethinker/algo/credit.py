"""From a scored group to experience: each response's advantage and what every token of it weighs in the loss.

The two are separate: the weights only say how a component of the loss is averaged (`objectives.weighted_mean`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32

from rethinker.algo.truncation import is_truncated
from rethinker.interfaces import AdvantageEstimator
from rethinker.types import About, Experience, Group, Rethought, Rollout

Normalisation = Literal["sequence_mean", "token_mean", "constant"]
"""Every response weighs the same (paper), or every token does; under `constant` too, which is `constant_total`'s."""

ImitationSpan = Literal["second_look", "trajectory"]
"""What of a kept second look is imitated: trigger and second look, or the whole response."""


LengthPenalty = Callable[[Group], Float32[np.ndarray, " group"]]
"""What is added to the reward of each response for its length; 0 or less."""


def credit(
    group: Group,
    *,
    advantages: AdvantageEstimator,
    normalisation: Normalisation,
    imitation: ImitationSpan,
    penalty: LengthPenalty | None = None,
    mask_truncated: bool = False,
) -> list[Experience]:
    """Give every final response of one group its advantage and its token weights, in the group's order.

    The group is the final one, kept second looks already in it (ALGORITHM: replacement happens before advantages). A
    masked response has neither advantage nor weight; its reward still counts in its group's mean (DAPO's overlong
    filtering, arXiv 2503.14476, section 3.4, masks the loss alone).
    """
    penalties = penalty(group) if penalty else None
    rewards = group.rewards if penalties is None else group.rewards + penalties
    masked = [mask_truncated and is_truncated(rollout) for rollout in group.rollouts]
    problem = group.problem
    about = About(question=problem.question, answer=problem.answer, category=problem.category, source=problem.source)
    return [
        Experience(
            rollout=rollout,
            advantage=0.0 if masked[index] else float(advantage),
            rl=_spread(~(rollout.forced | masked[index]), normalisation),
            imitation=_spread(_imitated(rollout, imitation), normalisation),
            penalty=None if penalties is None else float(penalties[index]),
            about=about,
        )
        for index, (rollout, advantage) in enumerate(zip(group.rollouts, advantages(rewards), strict=True))
    ]


def _imitated(rollout: Rollout, span: ImitationSpan) -> Bool[np.ndarray, " tokens"]:
    if not isinstance(rollout, Rethought):
        return np.zeros_like(rollout.forced)
    # From the trigger on: a model that never imitates the trigger cannot learn to begin a second look by itself.
    start = rollout.trigger_span[0] if span == "second_look" else 0
    return np.arange(len(rollout.forced)) >= start


def _spread(counted: Bool[np.ndarray, " tokens"], normalisation: Normalisation) -> Float32[np.ndarray, " tokens"]:
    share = 1.0 / max(1, int(counted.sum())) if normalisation == "sequence_mean" else 1.0
    return np.where(counted, share, 0.0).astype(np.float32)
