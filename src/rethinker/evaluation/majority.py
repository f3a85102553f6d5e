"""Majority vote over the answers of several samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def majority(answers: Sequence[str | None]) -> int:
    """Position of the first sample with the answer that most samples give.

    Answers are compared as extracted, letter by letter: 0.5 and 1/2 are two answers. A sample without one has no vote;
    of answers with equally many votes the earliest wins, and where no sample has one it is the first sample.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return 0
    most = max(votes.values())
    return next(place for place, answer in enumerate(answers) if answer is not None and votes[answer] == most)
