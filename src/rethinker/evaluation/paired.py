"""Two models on the same questions: intervals of what differs, McNemar's test, and the questions that flipped.

Questions are what is resampled: samples of one question are not independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rethinker.runs.intervals import Z_95, wilson
from rethinker.seeding import Purpose, generator

RESAMPLES = 10_000
"""Bootstrap resamples; the ends of an interval then move by about 1 % of its width from seed to seed."""

FEW_FLIPS = 30
"""With fewer questions that differ a percentile bootstrap has too little to draw from: no flip, no width."""

Scores = Float64[np.ndarray, " questions"]
Interval = tuple[float, float]


def weighted_mean(scores: Scores, weights: Scores) -> float:
    """Mean of one score per question."""
    return float(scores @ weights / weights.sum())


def bootstrap_interval(scores: Scores, weights: Scores, *, seed: int, key: str, resamples: int = RESAMPLES) -> Interval:
    """95 % percentile bootstrap interval of a mean over questions; of paired differences where `scores` are such.

    Equal questions are drawn together: how often each distinct (score, weight) comes up among n draws with replacement
    is multinomial, so that a resample of thousands of right and wrong answers costs a handful of numbers.
    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    Args:
        scores: One per question.
        weights: Of the questions in the mean; of each question its own in every resample.
        seed: Of the resampling.
        key: What the interval is of, so that two intervals do not share their draws.
        resamples: How many.
    """
    kinds, counts = np.unique(np.stack([scores, weights]), axis=1, return_counts=True)
    rng = generator(seed, Purpose.BOOTSTRAP, problem_id=key)
    drawn = rng.multinomial(len(scores), counts / len(scores), size=resamples)
    means = (drawn @ (kinds[0] * kinds[1])) / (drawn @ kinds[1])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def accuracy_interval(scores: Scores, weights: Scores, *, seed: int, key: str) -> Interval:
    """95 % interval of an accuracy: Wilson's where every question counts the same and is right or wrong.

    Else, with partial scores, several samples of a question or means over tasks, by bootstrap.
    """
    if np.all(weights == weights[0]) and np.all((scores == 0) | (scores == 1)):
        return wilson(int(scores.sum()), len(scores))
    return bootstrap_interval(scores, weights, seed=seed, key=key)


def difference_interval(
    differences: Scores, weights: Scores, *, seed: int, key: str, resamples: int = RESAMPLES
) -> Interval:
    """95 % interval of a mean of paired differences: by bootstrap, or by score where it has too little to draw from."""
    if by_score(differences, weights):
        return score_interval(int(np.sum(differences < 0)), int(np.sum(differences > 0)), len(differences))
    return bootstrap_interval(differences, weights, seed=seed, key=key, resamples=resamples)


def by_score(differences: Scores, weights: Scores) -> bool:
    """Whether only few questions flip, every one from right to wrong or back, and all count the same."""
    flipped = differences[differences != 0]
    return len(flipped) < FEW_FLIPS and bool(np.all(np.abs(flipped) == 1) and np.all(weights == weights[0]))


def score_interval(lost: int, won: int, questions: int) -> Interval:
    """95 % score interval of a difference of paired shares: what a score test does not reject, within [-1, 1].

    Source: Tango, Statistics in Medicine 17 (1998).

    Args:
        lost: Questions that only the first model answers right.
        won: Questions that only the second does.
    """
    return -_highest(won, lost, questions), _highest(lost, won, questions)


def _highest(lost: int, won: int, questions: int) -> float:
    """The upper end, by bisection: the statistic falls as the difference supposed grows."""
    low, high = (won - lost) / questions, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if _score(lost, won, questions, middle) > -Z_95 else (low, middle)
    return high


def _score(lost: int, won: int, questions: int, difference: float) -> float:
    """Tango's statistic: how many standard errors what was found lies above a supposed difference.

    The share that only the first answers right is the likeliest one under that difference.
    """
    linear = (2 * questions - won + lost) * difference - won - lost
    root = math.sqrt(linear**2 + 8 * questions * lost * difference * (1 - difference))
    share = (root - linear) / (4 * questions)
    return (won - lost - questions * difference) / math.sqrt(questions * (2 * share + difference * (1 - difference)))


def mcnemar(lost: int, won: int) -> float:
    """Exact two-sided McNemar test: the chance of a split at least as uneven as this one, were both equally likely.

    Source: McNemar, Psychometrika 12 (1947), with the binomial distribution in place of its approximation.

    Args:
        lost: Questions that only the first model answers right.
        won: Questions that only the second does.
    """
    discordant = lost + won
    tail = sum(math.comb(discordant, each) for each in range(min(lost, won) + 1))
    return min(1.0, 2 * tail / 2**discordant)


@dataclass(frozen=True, slots=True)
class Flips:
    """Ids of the questions that two models answer differently, in the questions' order.

    Attributes:
        right_to_wrong: Right by the first model alone.
        wrong_to_right: Right by the second alone.
    """

    right_to_wrong: tuple[str, ...]
    wrong_to_right: tuple[str, ...]

    @property
    def p(self) -> float:
        """McNemar's exact two-sided p."""
        return mcnemar(len(self.right_to_wrong), len(self.wrong_to_right))


def flips(first: Mapping[str, bool], second: Mapping[str, bool]) -> Flips:
    """Which questions went from right to wrong, and from wrong to right; both answer the same questions."""
    assert first.keys() == second.keys()
    return Flips(
        right_to_wrong=tuple(id for id, right in first.items() if right and not second[id]),  # noqa: A001
        wrong_to_right=tuple(id for id, right in first.items() if not right and second[id]),  # noqa: A001
    )
