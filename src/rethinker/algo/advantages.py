"""From the rewards of one group to its advantages: r − mean, r − mean over the population std, r − mean of the others.

Each is an `interfaces.AdvantageEstimator`. What the advantages are spent on is in `credit.py` and `objectives.py`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32


def grpo(rewards: Float32[np.ndarray, " group"]) -> Float32[np.ndarray, " group"]:
    """Reward minus the group's mean, the paper's recipe (ALGORITHM: GRPO)."""
    if _teaches_nothing(rewards):
        return np.zeros_like(rewards)
    return _deviations(rewards).astype(np.float32)


def grpo_std(rewards: Float32[np.ndarray, " group"]) -> Float32[np.ndarray, " group"]:
    """`grpo` divided by the population standard deviation, without ε: the paper's printed formula."""
    if _teaches_nothing(rewards):
        return np.zeros_like(rewards)
    deviations = _deviations(rewards)
    return (deviations / np.sqrt(np.mean(deviations**2))).astype(np.float32)


def rloo(rewards: Float32[np.ndarray, " group"]) -> Float32[np.ndarray, " group"]:
    """Reward minus the mean of the others (leave one out)."""
    if _teaches_nothing(rewards):
        return np.zeros_like(rewards)
    return (_deviations(rewards) * (len(rewards) / (len(rewards) - 1))).astype(np.float32)


def _teaches_nothing(rewards: Float32[np.ndarray, " group"]) -> bool:
    # Decided on the rewards: a difference from a rounded mean could come out as 1e-9 and pass for a signal.
    return bool((rewards == rewards[:1]).all())


def _deviations(rewards: Float32[np.ndarray, " group"]) -> np.ndarray:
    exact = rewards.astype(np.float64)
    return exact - exact.mean()
