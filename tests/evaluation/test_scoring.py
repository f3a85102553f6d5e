"""Scoring in worker processes: order, limits, every cell, and answers that are out to do harm."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from asking import question
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rethinker.errors import RethinkerError
from rethinker.evaluation.benchmark import RowVerdict
from rethinker.evaluation.benchmarks.catalogue import BENCHMARKS, Rule
from rethinker.evaluation.benchmarks.emma import fast_answer
from rethinker.evaluation.benchmarks.mathvision import MathVision
from rethinker.evaluation.benchmarks.mathvision_text import cleaned, pick
from rethinker.evaluation.boxed import boxed_answer
from rethinker.evaluation.scorers import SCORERS, missing
from rethinker.evaluation.scoring import RowScorer, score_rows, summed_up
from rethinker.evaluation.verdicts import RowOutcome, Scored, outcome_of

RULES = [
    Rule(name="mathvision"),
    Rule(name="emma"),
    Rule(name="mathvision", protocol="boxed"),
]

CHOICE = question("c", answer="B", options=("1", "\\frac{1}{2}", "x", "(1,2)", "none"))
VALUE = question("v", answer="0.75")


@pytest.fixture(scope="module", params=RULES, ids=lambda rule: f"{rule.name}-{rule.protocol}")
def scorer(request: pytest.FixtureRequest) -> Iterator[RowScorer]:
    with RowScorer(request.param, workers=2, row_seconds=0.5) as made:
        yield made


def outcomes(scorer: RowScorer, asked, responses: list[str]) -> list[RowOutcome]:
    return [scored.outcome for scored in scorer.score((asked, response) for response in responses)]


RIGHT = ["\\boxed{\\frac{3}{4}}", "\\boxed{0.75}", "\\boxed{0.750}"]
WRONG = [
    "\\boxed{1}",
    "\\boxed{x}",
    "\\boxed{nothing that is known}",
    "\\boxed{}",
    "-",
    "\\boxed{−0.75}",
    "\\boxed{1–2}",
]


def test_values_are_compared_as_numbers(scorer: RowScorer) -> None:
    assert outcomes(scorer, VALUE, RIGHT) == [RowOutcome.CORRECT] * len(RIGHT)
    assert RowOutcome.CORRECT not in outcomes(scorer, VALUE, WRONG)


HOSTILE = [
    "",
    " \n ",
    "9" * 100_000,
    "\\boxed{" + "9" * 100_000 + "}",
    "\\boxed{" * 20_000,
    "\\boxed{" + "{" * 20_000,
    "}" * 100_000,
    "\\boxed{10^{10^{10}}}",
    "\\boxed{9^{9^{9^{9}}}}",
    "\\boxed{1000000000!}",
    "\\boxed{((((((((((1))))))))))^{99999999}}",
    "\\boxed{" + "\\frac{1}{" * 3000 + "1" + "}" * 3000 + "}",
    "\\boxed{\\tan x = 2x}",
    "\\boxed{\\int_0^1 x^x dx}",
    "\\boxed{\\mathit{__import__('os').abort()}}",
    "\\boxed{\\lim_{x\\to 0}\\frac{\\sin x}{x}}",
    "\\boxed{1,000,000} and \\boxed{−3}",
    "\\boxed{\ud800 ∞ ²}",
    "(B) or maybe (C), (D). I think (B).",
    "\\boxed{A, B}",
    "\\boxed{(1, 2, 3]}",
    "is \x00 nan is inf is 1_0",
    "The answer is " * 5000,
    "million five",
]


def test_hostile_answers_end_in_an_outcome_each(scorer: RowScorer) -> None:
    ended = outcomes(scorer, VALUE, HOSTILE)
    assert len(ended) == len(HOSTILE)
    assert not {RowOutcome.PARTIAL, RowOutcome.CORRECT} & set(ended)
    assert outcomes(scorer, VALUE, RIGHT[:1]) == [RowOutcome.CORRECT]


FRAGMENTS = (
    *("\\boxed{", "}", "{", "\\frac", "12", "A", "(B)", " is ", ".", "\n", "=", "\\text{", "cm", "^{2}", "−", "0.5"),
    *(
        "The answer is ",
        "Answer:",
        "<answer>",
        "</answer>",
        "\\sqrt",
        ",",
        "°",
        "\\pi",
        "½",
        "(",
        ")",
        "[",
        "\\\\",
        "/",
    ),
)
PIECES = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=20).map("".join)


@given(PIECES)
def test_no_text_breaks_what_finds_the_answer(response: str) -> None:
    for answer in (cleaned(pick(response)), fast_answer(response), boxed_answer(response)):
        assert isinstance(answer, str)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, min_size=5, max_size=5))
def test_no_text_breaks_a_rule(scorer: RowScorer, responses: list[str]) -> None:
    ended = outcomes(scorer, VALUE, responses) + outcomes(scorer, CHOICE, responses)
    assert RowOutcome.PARTIAL not in ended
    assert RowOutcome.RANDOM not in ended


def test_rows_come_back_in_the_questions_order() -> None:
    questions = [question(str(place), answer=str(place)) for place in range(1500)]
    responses = {str(place): str(place if place % 3 else -1) for place in range(1500) if place % 7}
    with RowScorer(Rule(name="mathvision"), workers=2) as scorer:
        rows = score_rows(scorer, questions, responses)
    assert [each.id for each, _ in rows] == list(responses)
    assert [scored.score for _, scored in rows] == [float(int(name) % 3 > 0) for name in responses]


def scored(score: float | None, extracted: str | None = "x") -> Scored:
    verdict = RowVerdict(extracted=extracted, score=score, why="")
    return Scored(verdict=verdict, outcome=outcome_of(verdict))


def test_every_cell_and_the_interval_of_what_is_drawn_at_random() -> None:
    both = question("1")
    other = replace(both, id="2", labels={"subject": ("logic", "algebra"), "level": ()})
    found = summed_up(
        MathVision(), [(both, scored(1.0)), (both, scored(None)), (other, scored(0.0)), (other, scored(0.0, None))]
    )
    assert found.overall is not None
    assert (found.overall.accuracy, found.overall.correct, found.overall.predicted) == (0.25, 1, 4)
    assert found.fallback == (0.25, 0.5)
    counts = {name: (cell.correct, cell.predicted) for name, cell in found.breakdowns["subject"].items()}
    assert counts == {"algebra": (1, 4), "logic": (0, 2)}
    assert found.outcomes == {
        RowOutcome.CORRECT: 1,
        RowOutcome.RANDOM: 1,
        RowOutcome.WRONG: 1,
        RowOutcome.NO_ANSWER: 1,
    }


def test_nothing_predicted_has_no_accuracy() -> None:
    found = summed_up(MathVision(), [])
    assert found.overall is None
    assert found.fallback is None


def test_a_missing_scorer_environment_is_told_with_the_script(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETHINKER_SCORERS", str(tmp_path))
    assert len(missing("latex2sympy")) == len(SCORERS["latex2sympy"].packages)
    with pytest.raises(RethinkerError, match=r"scripts/make_scorers\.py latex2sympy"):
        RowScorer(Rule(name="mathvision"), workers=1)


def test_another_version_is_not_the_right_one(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETHINKER_SCORERS", str(tmp_path))
    info = tmp_path / "latex2sympy" / "sympy-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sympy\nVersion: 1.5\n")
    assert any("sympy is 1.5, 1.14.0 is needed" in line for line in missing("latex2sympy"))


def test_every_benchmark_is_of_its_name() -> None:
    assert all(os.path.basename(name) == Rule(name=name).benchmark().name for name in BENCHMARKS)
