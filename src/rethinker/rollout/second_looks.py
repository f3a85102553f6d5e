"""What second looks did: spontaneous ones found by their marker, and first answer → final answer transitions.

A transition needs a first answer, extracted from the text before the first marker; a response without one is counted in
the rethinking ratio and in no transition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from rethinker.interfaces import Scorer
from rethinker.rewards.extract import final_answer
from rethinker.types import Group, Mean, Metrics, Rethought, Rollout, Verdict


class Marker:
    """The word by which a response shows that it looks again (the paper's: "wait")."""

    def __init__(self, word: str = "wait") -> None:
        self._pattern = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)

    def before(self, text: str) -> str | None:
        """The text before the first marker, None where there is no marker."""
        found = self._pattern.search(text)
        return text[: found.start()] if found else None

    def first_answer(self, rollout: Rollout) -> str | None:
        """The answer a response gave before it looked again, None if it did not look or had none."""
        before = rollout.first.text if isinstance(rollout, Rethought) else self.before(rollout.text)
        return final_answer(before) if before is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondLooks:
    """Counts over a set of responses.

    Attributes:
        responses: All of them.
        rethought: Those that hold a marker.
        answered: Of those, with a first answer: the four transitions below add up to it.
    """

    responses: int
    rethought: int
    wrong_to_right: int
    right_to_wrong: int
    kept_right: int
    kept_wrong: int

    @property
    def answered(self) -> int:
        """Responses with a transition."""
        return self.wrong_to_right + self.right_to_wrong + self.kept_right + self.kept_wrong


def spontaneous(groups: Iterable[Group], scorer: Scorer, marker: Marker) -> SecondLooks:
    """Count unforced second looks; first answers are verified like final ones."""
    responses = rethought = 0
    pending: list[tuple[Future[Verdict], bool]] = []
    for problem, rollout in ((group.problem, rollout) for group in groups for rollout in group.rollouts):
        responses += 1
        before = marker.before(rollout.text)
        if before is None:
            continue
        rethought += 1
        if final_answer(before) is not None:
            pending.append((scorer.submit(problem, before), rollout.verdict.correct))
    return _counted(responses, rethought, [(first.result().correct, final) for first, final in pending])


def forced(looks: Sequence[Rethought], *, responses: int) -> SecondLooks:
    """Count forced second looks, kept or not, out of `responses` first responses."""
    return _counted(responses, len(looks), [(look.first.verdict.correct, look.verdict.correct) for look in looks])


def second_look_metrics(own: SecondLooks, made: SecondLooks, *, kept: int) -> Metrics:
    """`rethink/…` of one episode: shares of all first responses, `kept` of the forced ones."""
    return {
        "rethink/spontaneous": Mean(sum=own.rethought, count=own.responses),
        "rethink/wrong_to_right": Mean(sum=own.wrong_to_right, count=own.responses),
        "rethink/right_to_wrong": Mean(sum=own.right_to_wrong, count=own.responses),
        "rethink/forced": Mean(sum=made.rethought, count=made.responses),
        "rethink/forced_wrong_to_right": Mean(sum=made.wrong_to_right, count=made.rethought),
        "rethink/forced_right_to_wrong": Mean(sum=made.right_to_wrong, count=made.rethought),
        "rethink/kept": Mean(sum=kept, count=made.rethought),
    }


def _counted(responses: int, rethought: int, transitions: Sequence[tuple[bool, bool]]) -> SecondLooks:
    return SecondLooks(
        responses=responses,
        rethought=rethought,
        wrong_to_right=transitions.count((False, True)),
        right_to_wrong=transitions.count((True, False)),
        kept_right=transitions.count((True, True)),
        kept_wrong=transitions.count((False, False)),
    )
