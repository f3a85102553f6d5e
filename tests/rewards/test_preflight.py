"""Preflight: a reward path that cannot tell right from wrong does not start a run."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from rethinker.errors import PreflightError
from rethinker.interfaces import Scorer
from rethinker.rewards.pool import VerifierPool
from rethinker.rewards.preflight import preflight, wrong_answer
from rethinker.rewards.verifiers import verify
from rethinker.types import Outcome, Problem, Verdict


class FakeScorer(Scorer):
    """Scores in place and remembers what it was asked."""

    def __init__(self, rule: Callable[[Problem, str], Verdict]) -> None:
        self.rule = rule
        self.asked: list[tuple[str, str]] = []

    def submit(self, problem: Problem, response: str) -> Future[Verdict]:
        self.asked.append((problem.id, response))
        future: Future[Verdict] = Future()
        future.set_result(self.rule(problem, response))
        return future

    def close(self) -> None:
        pass


def always(outcome: Outcome, reward: float) -> FakeScorer:
    return FakeScorer(lambda *_: Verdict(outcome=outcome, reward=reward, extracted=None, detail="as told"))


def half(wrong: float, right: float = 1.0, threshold: float = 1.0) -> FakeScorer:
    """A verifier that gives a part of the reward for something else than the answer."""

    def score(asked: Problem, response: str) -> Verdict:
        reward = right if response == f"\\boxed{{{asked.answer}}}" else wrong
        outcome = Outcome.OK if reward >= threshold else Outcome.WRONG
        return Verdict(outcome=outcome, reward=reward, extracted=None, detail="as told")

    return FakeScorer(score)


def problem(kind: str, answer: str, *choices: str, name: str = "p", category: str = "") -> Problem:
    return Problem(id=name, images=(), question="?", answer=answer, verifier=kind, choices=choices, category=category)


GOOD = [
    problem("number", "12"),
    problem("number", "-500"),
    problem("number", "45%"),
    problem("number", "0"),
    problem("number", r"\frac{1}{2}"),
    problem("choice", "A", "3", "4"),
    problem("choice", "B"),
    problem("choice", "4 cm", "3 cm", "4 cm"),
    problem("latex", r"\frac{\pi}{2}"),
    problem("latex", r"\infty"),
    problem("latex", "(0, 1]"),
    problem("latex", "x=5"),
    problem("text", "red"),
    problem("list", "1, 2"),
    problem("list", "[1, 2]"),
    problem("list", "{1, 2}"),
    problem("list", "7"),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=1, timeout_seconds=120.0, memory_bytes=10**9) as pool:
        yield pool


def test_the_rules_pass_through_the_real_pool(pool: VerifierPool) -> None:
    preflight(pool, GOOD)


@pytest.mark.parametrize("good", GOOD, ids=lambda p: f"{p.verifier} {p.answer}")
def test_the_known_wrong_answer_is_read_and_wrong(good: Problem) -> None:
    preflight(FakeScorer(verify), [good])
    assert verify(good, f"\\boxed{{{wrong_answer(good)}}}").outcome is Outcome.WRONG


@pytest.mark.parametrize(
    ("scorer", "cause"),
    [
        (always(Outcome.WRONG, 0.0), "known right response"),
        (always(Outcome.OK, 1.0), "known wrong response"),
        (half(0.5), "gives a wrong answer a reward"),
        (always(Outcome.OK, 0.9), "less than its full reward"),
        (always(Outcome.ERROR, 0.0), "give the row another verifier"),
        (always(Outcome.TIMEOUT, 0.0), "timeout_seconds"),
        (always(Outcome.UNPARSED, 0.0), "cannot be read as the row's kind"),
    ],
)
def test_a_verifier_that_does_not_look_is_caught(scorer: FakeScorer, cause: str) -> None:
    with pytest.raises(PreflightError, match=cause) as caught:
        preflight(scorer, [problem("number", "12", name="problem-7")])
    assert all(word in str(caught.value) for word in ("problem-7", "'12'", "\\\\boxed{", "as told"))


def test_a_row_that_names_a_wrong_kind_is_caught(pool: VerifierPool) -> None:
    with pytest.raises(PreflightError, match="unknown verifier 'numbr'"):
        preflight(pool, [problem("numbr", "12")])
    with pytest.raises(PreflightError, match="'many' is not of kind 'number'"):
        preflight(pool, [problem("number", "many")])


def test_one_bad_row_is_named_and_stops_nothing(pool: VerifierPool) -> None:
    (line,) = preflight(pool, [problem("number", "n/a", name="row-3"), problem("number", "12", name="row-4")])
    assert "problem row-3 cannot be verified" in line
    assert "'n/a' is not of kind 'number'" in line
    bad = [problem("number", "n/a", name=f"row-{row}") for row in range(3)]
    with pytest.raises(PreflightError, match="row-0"):
        preflight(pool, [*bad, problem("number", "12")])


def test_a_graded_function_need_not_give_all_or_nothing() -> None:
    assert preflight(half(0.1, right=0.9, threshold=0.5), GOOD, graded=True) == []
    with pytest.raises(PreflightError, match="known wrong response counted as right"):
        preflight(half(0.6, right=0.9, threshold=0.5), GOOD, graded=True)


def test_a_function_that_wants_a_format_is_told_what_the_preflight_sends() -> None:
    with pytest.raises(PreflightError, match=r"known right response did not count as right.*") as caught:
        preflight(half(0.0, right=0.5), GOOD, graded=True)
    assert "sends \\boxed{answer} and nothing else" in str(caught.value)
    assert "verifier.threshold" in str(caught.value)


def test_one_problem_of_each_kind_and_category_is_checked() -> None:
    scorer = FakeScorer(verify)
    preflight(
        scorer,
        [
            problem("number", "1", name="a", category="counting"),
            problem("number", "2", name="b", category="counting"),
            problem("number", "3", name="c", category="charts"),
            problem("text", "red", name="d", category="charts"),
        ],
    )
    assert sorted({name for name, _ in scorer.asked}) == ["a", "c", "d"]
    assert len(scorer.asked) == 6
