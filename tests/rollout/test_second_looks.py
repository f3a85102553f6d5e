from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import pytest
from tests.algo.making import rethought, rollout
from tests.rollout.scripted import RuleScorer, problem

from rethinker.rollout.second_looks import Marker, forced, second_look_metrics, spontaneous
from rethinker.types import Group, Outcome, Problem, Rethought, Rollout, Verdict

MARKER = Marker()


def said(text: str, *, right: bool, sample: int = 0) -> Rollout:
    made = rollout(reward=float(right), sample=sample)
    return Rollout(**{name: getattr(made, name) for name in Rollout.__dataclass_fields__ if name != "text"}, text=text)


@pytest.mark.parametrize("text", ["so 3. Wait, no", "WAIT", "I'd (wait) here", "3\n\nwait", "wait!"])
def test_the_marker_is_a_whole_word_in_any_case(text: str) -> None:
    assert MARKER.before(text) == text[: text.lower().index("wait")]


@pytest.mark.parametrize("text", ["waiting for it", "await", "waiter", "wait_", "", "weight"])
def test_part_of_a_word_is_no_marker(text: str) -> None:
    assert MARKER.before(text) is None


def test_the_first_marker_counts() -> None:
    assert MARKER.before("a wait b wait c") == "a "


def test_another_marker_is_taken_literally() -> None:
    marker = Marker("hold on")
    assert marker.before("3. Hold on, 4") == "3. "
    assert marker.before("wait") is None


def test_the_first_answer_stands_before_the_marker() -> None:
    assert MARKER.first_answer(said("\\boxed{3}. Wait, \\boxed{4}", right=False)) == "3"
    assert MARKER.first_answer(said("Wait, \\boxed{4}", right=False)) is None
    assert MARKER.first_answer(said("\\boxed{4}", right=False)) is None


def test_the_first_answer_of_a_forced_look_is_that_of_its_first_response() -> None:
    first = said("I wait here: \\boxed{5}", right=False)
    assert MARKER.first_answer(rethought(first=first)) == "5"


def test_spontaneous_transitions_need_a_first_answer() -> None:
    rollouts = (
        said("\\boxed{7}. Wait, \\boxed{3}", right=True),
        said("\\boxed{3}. Wait, \\boxed{7}", right=False),
        said("\\boxed{3}. wait \\boxed{3}", right=True),
        said("\\boxed{7}. wait \\boxed{8}", right=False),
        said("Hm. Wait, \\boxed{3}", right=True),  # no first answer: in the ratio, in no transition
        said("\\boxed{3}", right=True),
    )
    found = spontaneous([Group(problem=problem("p"), rollouts=rollouts)], RuleScorer(), MARKER)
    assert (found.responses, found.rethought, found.answered) == (6, 5, 4)
    assert (found.wrong_to_right, found.right_to_wrong, found.stayed_right, found.stayed_wrong) == (1, 1, 1, 1)


class LateScorer(RuleScorer):
    """Has no verdict on 4 and fails on 5."""

    def submit(self, problem: Problem, response: str) -> Future[Verdict]:
        for answer, outcome in (("4", Outcome.TIMEOUT), ("5", Outcome.ERROR)):
            if answer in response:
                future: Future[Verdict] = Future()
                future.set_result(Verdict(outcome=outcome, reward=0.0, extracted=answer))
                return future
        return super().submit(problem, response)


def test_a_first_answer_without_a_verdict_is_in_no_transition() -> None:
    rollouts = tuple(said(f"\\boxed{{{answer}}}. Wait, \\boxed{{3}}", right=True) for answer in (7, 3, 4, 5))
    rollouts += (said("Hm. Wait, \\boxed{3}", right=True),)
    group = Group(problem=problem("p"), rollouts=rollouts)
    found = spontaneous([group], LateScorer(), MARKER)
    assert (found.wrong_to_right, found.stayed_right, found.answered, found.unchecked) == (1, 1, 2, 2)
    metrics = second_look_metrics(found, forced([], [group]), kept=0)
    assert (metrics["rethink/unchecked"].sum, metrics["rethink/unanswered"].sum) == (2, 1)
    late = replace(rollouts[2], verdict=replace(rollouts[2].verdict, outcome=Outcome.TIMEOUT))
    made = forced([rethought(first=late, reward=1), rethought(first=rollout(reward=0), reward=1)], [group])
    assert (made.wrong_to_right, made.unchecked) == (1, 1)


def test_forced_and_spontaneous_looks_are_counted_apart() -> None:
    own = spontaneous(
        [
            Group(
                problem=problem("p"), rollouts=(said("\\boxed{7} wait \\boxed{3}", right=True), said("x", right=False))
            )
        ],
        RuleScorer(),
        MARKER,
    )
    looks: list[Rethought] = [
        rethought(first=rollout(reward=0), reward=1),
        rethought(first=rollout(reward=0), reward=1),
        rethought(first=rollout(reward=1), reward=0),
        rethought(first=rollout(reward=0), reward=0),
    ]
    firsts = Group(problem=problem("p"), rollouts=tuple(rollout(sample=i, reward=0) for i in range(10)))
    made = forced(looks, [firsts])
    assert (made.wrong_to_right, made.right_to_wrong, made.stayed_right, made.stayed_wrong) == (2, 1, 0, 1)
    metrics = {name: mean.value for name, mean in second_look_metrics(own, made, kept=1).items()}
    assert metrics == {
        "rethink/spontaneous": 0.5,
        "rethink/wrong_to_right": 0.5,
        "rethink/right_to_wrong": 0.0,
        "rethink/stayed_right": 0.0,
        "rethink/stayed_wrong": 0.0,
        "rethink/unanswered": 0.0,
        "rethink/unchecked": 0.0,
        "rethink/accuracy_with": 1.0,
        "rethink/accuracy_without": 0.0,
        "rethink/forced": 0.4,
        "rethink/forced_wrong_to_right": 0.5,
        "rethink/forced_right_to_wrong": 0.25,
        "rethink/forced_stayed_right": 0.0,
        "rethink/forced_stayed_wrong": 0.25,
        "rethink/kept": 0.25,
    }


def test_nothing_forced_is_no_share_and_not_zero() -> None:
    own = spontaneous([], RuleScorer(), MARKER)
    metrics = second_look_metrics(own, forced([], []), kept=0)
    assert metrics["rethink/kept"].value is None
