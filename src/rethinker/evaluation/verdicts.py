"""How the scoring of one row ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rethinker.evaluation.benchmark import RowVerdict


class RowOutcome(StrEnum):
    """Only `CORRECT` counts in full; from `TIMEOUT` on they say nothing of whether the response was right."""

    CORRECT = "correct"
    PARTIAL = "partial"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    RANDOM = "random_fallback"
    TIMEOUT = "timeout"
    ERROR = "error"
    UNASKED = "unasked"
    NOT_SCORED = "not_scored"
    UNJUDGED = "unjudged"


WITHOUT_VERDICT = (RowOutcome.NOT_SCORED, RowOutcome.UNJUDGED)
"""Nothing here can score it (no judge, no corpora, programs not run); a judge was asked, and gave no verdict. In no
accuracy, and in no file of verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A verdict and how it came about."""

    verdict: RowVerdict
    outcome: RowOutcome

    @property
    def score(self) -> float:
        """What it adds to an accuracy: nothing where the official code draws at random."""
        return self.verdict.score or 0.0


def without_verdict(outcome: RowOutcome, why: str) -> Scored:
    """What stands for a row of one of the outcomes in `WITHOUT_VERDICT`."""
    return Scored(verdict=RowVerdict(extracted=None, score=None, why=why), outcome=outcome)


def outcome_of(verdict: RowVerdict) -> RowOutcome:
    """The outcome of a rule that ran to its end."""
    match verdict.score:
        case None:
            return RowOutcome.RANDOM
        case 1:
            return RowOutcome.CORRECT
        case 0:
            return RowOutcome.NO_ANSWER if verdict.extracted is None else RowOutcome.WRONG
        case _:
            return RowOutcome.PARTIAL
