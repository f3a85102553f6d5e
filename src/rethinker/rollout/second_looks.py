"""What second looks did: spontaneous ones found by their marker, and first answer → final answer transitions.

A transition needs a first answer, extracted from the text before the first marker, and its verdict; a response without
one is counted in the rethinking ratio and in no transition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from rethinker.interfaces import Scorer
from rethinker.rewards.extract import final_answer
from rethinker.types import Group, Mean, Metrics, Outcome, Rethought, Rollout, Verdict

_UNDECIDED = (Outcome.TIMEOUT, Outcome.ERROR)


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
    """Counts over a set of responses; those of two sets add up.

    Attributes:
        responses: All of them; `right` those whose final answer is.
        rethought: Those that look twice; `rethought_right` those of them whose final answer is right.
        unchecked: Of those, with a first answer whose check timed out or failed.
        answered: Of those, with a first answer that was checked: the four transitions add up to it.
    """

    responses: int = 0
    right: int = 0
    rethought: int = 0
    rethought_right: int = 0
    wrong_to_right: int = 0
    right_to_wrong: int = 0
    stayed_right: int = 0
    stayed_wrong: int = 0
    unchecked: int = 0

    @property
    def answered(self) -> int:
        """Responses with a transition."""
        return self.wrong_to_right + self.right_to_wrong + self.stayed_right + self.stayed_wrong

    def __add__(self, other: SecondLooks) -> SecondLooks:
        """Counts over both sets."""
        mine, theirs = asdict(self), asdict(other)
        return SecondLooks(**{name: mine[name] + theirs[name] for name in mine})


def spontaneous(groups: Iterable[Group], scorer: Scorer, marker: Marker) -> SecondLooks:
    """Count unforced second looks; first answers are verified like final ones."""
    pairs = [(group.problem, rollout) for group in groups for rollout in group.rollouts]
    looks = [
        (problem, rollout, before) for problem, rollout in pairs if (before := marker.before(rollout.text)) is not None
    ]
    pending = [
        (scorer.submit(problem, before), rollout.verdict)
        for problem, rollout, before in looks
        if final_answer(before) is not None
    ]
    return _counted(
        [rollout for _, rollout in pairs],
        [rollout for _, rollout, _ in looks],
        [(first.result(), final) for first, final in pending],
    )


def forced(looks: Sequence[Rethought], groups: Iterable[Group]) -> SecondLooks:
    """Count forced second looks, kept or not, among the first responses of `groups`."""
    firsts = [rollout for group in groups for rollout in group.rollouts]
    answered = [look for look in looks if look.first.verdict.extracted is not None]
    return _counted(firsts, looks, [(look.first.verdict, look.verdict) for look in answered])


def second_look_metrics(own: SecondLooks, made: SecondLooks, *, kept: int) -> Metrics:
    """`rethink/…` of one episode: shares of all first responses; of the forced looks, shares of those."""
    return {
        "rethink/spontaneous": Mean(sum=own.rethought, count=own.responses),
        "rethink/wrong_to_right": Mean(sum=own.wrong_to_right, count=own.responses),
        "rethink/right_to_wrong": Mean(sum=own.right_to_wrong, count=own.responses),
        "rethink/stayed_right": Mean(sum=own.stayed_right, count=own.responses),
        "rethink/stayed_wrong": Mean(sum=own.stayed_wrong, count=own.responses),
        "rethink/unanswered": Mean(sum=own.rethought - own.answered - own.unchecked, count=own.responses),
        "rethink/unchecked": Mean(sum=own.unchecked, count=own.responses),
        "rethink/accuracy_with": Mean(sum=own.rethought_right, count=own.rethought),
        "rethink/accuracy_without": Mean(sum=own.right - own.rethought_right, count=own.responses - own.rethought),
        "rethink/forced": Mean(sum=made.rethought, count=made.responses),
        "rethink/forced_wrong_to_right": Mean(sum=made.wrong_to_right, count=made.rethought),
        "rethink/forced_right_to_wrong": Mean(sum=made.right_to_wrong, count=made.rethought),
        "rethink/forced_stayed_right": Mean(sum=made.stayed_right, count=made.rethought),
        "rethink/forced_stayed_wrong": Mean(sum=made.stayed_wrong, count=made.rethought),
        "rethink/kept": Mean(sum=kept, count=made.rethought),
    }


def _counted(
    responses: Sequence[Rollout], looks: Sequence[Rollout], answers: Sequence[tuple[Verdict, Verdict]]
) -> SecondLooks:
    transitions = [(first.correct, final.correct) for first, final in answers if first.outcome not in _UNDECIDED]
    return SecondLooks(
        responses=len(responses),
        right=sum(rollout.verdict.correct for rollout in responses),
        rethought=len(looks),
        rethought_right=sum(look.verdict.correct for look in looks),
        wrong_to_right=transitions.count((False, True)),
        right_to_wrong=transitions.count((True, False)),
        stayed_right=transitions.count((True, True)),
        stayed_wrong=transitions.count((False, False)),
        unchecked=len(answers) - len(transitions),
    )
