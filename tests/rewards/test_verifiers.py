"""Every kind of answer: what is right, what is wrong, what is not an answer of that kind."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinker.rewards.verifiers import KINDS, LONGEST_ANSWER, verify
from rethinker.types import Outcome, Problem, Verdict


def problem(kind: str, answer: str, *choices: str) -> Problem:
    return Problem(id="p", images=(), question="?", answer=answer, verifier=kind, choices=choices)


def judge(kind: str, answer: str, given: str, *choices: str) -> Verdict:
    return verify(problem(kind, answer, *choices), f"I see. \\boxed{{{given}}}")


RIGHT: list[tuple[Any, ...]] = [
    ("number", "12", "12"),
    ("number", "12", "12.0"),
    ("number", "12", "012"),
    ("number", "12", "x = 12"),
    ("number", "12", "5 + 7 = 12"),
    ("number", "12", "+12"),
    ("number", "-3", "−3"),
    ("number", "1234567", "1,234,567"),
    ("number", "1234567", r"1\,234\,567"),
    ("number", "1,234.5", "1234.5"),
    ("number", "3.14", "3.1416"),
    ("number", "0", "0.0"),
    ("number", "0.5", r"\frac{1}{2}"),
    ("number", "0.5", r"\dfrac12"),
    ("number", "0.5", "1/2"),
    ("number", "1.5", r"1\frac{1}{2}"),
    ("number", "1.5", "1 1/2"),
    ("number", "-0.75", r"-\frac{3}{4}"),
    ("number", "3/4", "0.75"),
    ("number", "45%", "45"),
    ("number", "45", r"45\%"),
    ("number", "45%", "0.45"),
    ("number", "0.45", "45 percent"),
    ("number", "5", "5 cm"),
    ("number", "5 cm", "5"),
    ("number", "5", r"5\text{ cm}^2"),
    ("number", "5", r"5 \text{ square units}"),
    ("number", "5", "5 m/s^2"),
    ("number", "5", r"\$5"),
    ("number", "-5", r"-\$5.00"),
    ("number", "45", r"45^\circ"),
    ("number", "45°", r"45^{\circ}"),
    ("number", "20", "20 °C"),
    ("number", "5000000", "5 million people"),
    ("number", "1500", r"1.5 \times 10^{3}"),
    ("number", "0.0015", "1.5e-3"),
    ("number", ".5", "0.50"),
    ("choice", "B", "B", "3", "4"),
    ("choice", "B", "(B)", "3", "4"),
    ("choice", "B", "B.", "3", "4"),
    ("choice", "B", "b", "3", "4"),
    ("choice", "(B)", "B", "3", "4"),
    ("choice", "B", r"\text{(B)}", "3", "4"),
    ("choice", "B", "B) 4", "3", "4"),
    ("choice", "B", "B: four", "3", "4"),
    ("choice", "B", "Option B", "3", "4"),
    ("choice", "B", "4", "3", "4"),
    ("choice", "4", "B", "3", "4"),
    ("choice", "4 cm", "4", "3 cm", "4 cm"),
    ("choice", "A dog", "a dog.", "A cat", "A dog"),
    ("choice", "A dog", "B", "A cat", "A dog"),
    ("choice", "C", "C"),
    ("latex", r"\frac{1}{2}", "0.5"),
    ("latex", "x^2+2x+1", "(x+1)^2"),
    ("latex", r"2\sqrt{2}", r"\sqrt{8}"),
    ("latex", "x=5", "5"),
    ("latex", r"\{1,2\}", r"\{2,1\}"),
    ("latex", "(0,1]", "(0,1]"),
    ("latex", "$x^2$", "x**2"),
    ("text", "North-East", "north east"),
    ("text", "red", r"\text{Red}."),
    ("text", "the red  cube", "The red cube"),
    ("text", "-5", "−5"),
    ("text", ">", "$>$"),
    ("list", "1, 2, 3", "1,2,3"),
    ("list", "[1, 2]", "(1, 2)"),
    ("list", "1, 2 and 3", "1, 2, and 3"),
    ("list", "{1, 2}", r"\{2, 1\}"),
    ("list", r"\{1, 1, 2\}", "1, 2, 1"),
    ("list", "(1,2), (3,4)", "(1, 2), (3, 4)"),
    ("list", "1; 2", "1;2"),
    ("list", "red, blue", r"\text{Red}, \text{blue}"),
    ("list", "0.5, 1/4", r"\frac{1}{2}, 0.25"),
    ("list", "7", "7"),
]
WRONG: list[tuple[Any, ...]] = [
    ("number", "12", "13"),
    ("number", "12", "12.001"),
    ("number", "12", "-12"),
    ("number", "1000", "1001"),
    ("number", "3.14", "3.2"),
    ("number", "45%", "0.5%"),
    ("number", "45%", "0.0045"),
    ("number", "45", "0.45"),
    ("number", "5", "5 million"),
    ("number", "0.5", r"\frac{2}{1}"),
    ("choice", "B", "A", "3", "4"),
    ("choice", "B", "3", "3", "4"),
    ("choice", "B", "A. 4", "3", "4"),
    ("choice", "C", "D"),
    ("latex", r"\frac{1}{2}", r"\frac{1}{3}"),
    ("latex", "x+1", "x-1"),
    ("latex", "(1,2)", "(2,1)"),
    ("latex", r"\infty", "3"),
    ("text", "red", "blue"),
    ("text", "1.5", "15"),
    ("text", "-5", "5"),
    ("list", "1, 2", "2, 1"),
    ("list", "1, 2", "1, 2, 3"),
    ("list", "{1, 1, 2}", "{1, 2, 2}"),
    ("list", "1, 2", "1, red"),
    ("list", "[1, 2]", "{2, 1}"),
]
UNPARSED: list[tuple[Any, ...]] = [
    ("number", "12", "twelve"),
    ("number", "12", "5 or 12"),
    ("number", "12", "12x"),
    ("number", "12", r"12\pi"),
    ("number", "12", "1,23"),
    ("number", "12", "12 13"),
    ("number", "12", "1/0"),
    ("number", "12", r"\frac{1}{0}"),
    ("number", "12", "1/2/3"),
    ("number", "12", "1e99999"),
    ("number", "12", "nan"),
    ("number", "12", "inf"),
    ("number", "12", "x < 12"),
    ("number", "12", "12, 13"),
    ("choice", "B", "both", "3", "4"),
    ("choice", "B", "A, B", "3", "4"),
    ("choice", "B", "C", "3", "4"),
    ("choice", "B", "5", "3", "4"),
    ("choice", "A", "same", "same", "same"),
    ("latex", "3", r"\frac{"),
    ("text", "red", "?!"),
    ("list", "1, 2", "1,,2"),
]


@pytest.mark.parametrize("row", RIGHT, ids=str)
def test_right_answers_are_right(row: tuple[Any, ...]) -> None:
    verdict = judge(*row)
    assert (verdict.outcome, verdict.reward) == (Outcome.OK, 1.0), verdict


@pytest.mark.parametrize("row", WRONG, ids=str)
def test_wrong_answers_are_wrong(row: tuple[Any, ...]) -> None:
    verdict = judge(*row)
    assert (verdict.outcome, verdict.reward) == (Outcome.WRONG, 0.0), verdict
    assert verdict.extracted == row[2]


@pytest.mark.parametrize("row", UNPARSED, ids=str)
def test_what_is_no_answer_of_the_kind_is_unparsed(row: tuple[Any, ...]) -> None:
    verdict = judge(*row)
    assert (verdict.outcome, verdict.reward) == (Outcome.UNPARSED, 0.0), verdict
    assert verdict.detail


@pytest.mark.parametrize("kind", KINDS)
def test_a_response_without_an_answer_is_unparsed(kind: str) -> None:
    verdict = verify(problem(kind, "1"), "I do not know")
    assert (verdict.outcome, verdict.extracted) == (Outcome.UNPARSED, None)
    assert "no final answer" in verdict.detail


def test_an_unknown_kind_is_an_error_that_names_the_known_ones() -> None:
    verdict = judge("numbr", "12", "12")
    assert verdict.outcome is Outcome.ERROR
    assert all(word in verdict.detail for word in ("numbr", *KINDS))


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("number", "many"), ("choice", "none of these"), ("latex", r"\frac{"), ("text", "?"), ("list", ",")],
)
def test_a_stored_answer_that_is_not_of_its_kind_is_an_error_not_a_wrong_response(kind: str, answer: str) -> None:
    verdict = judge(kind, answer, "12", "3", "12")
    assert verdict.outcome is Outcome.ERROR
    assert repr(answer) in verdict.detail


def test_an_endless_answer_is_unparsed_and_shown_cut() -> None:
    verdict = judge("text", "red", "a" * 1_000_000)
    assert verdict.outcome is Outcome.UNPARSED
    assert verdict.extracted is not None
    assert len(verdict.extracted) == LONGEST_ANSWER


@pytest.mark.parametrize(
    "sign", ["9", "a ", "1,", "1/", "(", "{", "\\text{", "\\frac{1}", "and ", "1e9", " ", "^2", "cm/"]
)
def test_rules_read_the_longest_answers_without_backtracking(sign: str) -> None:
    long = sign * (LONGEST_ANSWER // len(sign))
    for kind in ("number", "choice", "text", "list"):
        verify(problem(kind, "1", "1", "2"), f"<answer>5{long}#</answer>")


MESSY = st.text(max_size=60) | st.text(alphabet="0123456789.,%/\\frac{}$ -+eE^()[];and=AB", max_size=40)


@given(MESSY, st.sampled_from(["number", "choice", "text", "list"]))
def test_no_response_makes_a_rule_raise(given: str, kind: str) -> None:
    verdict = verify(problem(kind, "1", "1", "2"), f"<answer>{given}</answer>")
    assert verdict.outcome is not Outcome.ERROR, verdict
    assert (verdict.reward == 1.0) == (verdict.outcome is Outcome.OK)


@given(st.text(alphabet="xy12+-=(){}[],\\frac", max_size=12))
def test_no_response_makes_the_latex_rule_raise(given: str) -> None:
    verify(problem("latex", "x+1"), f"<answer>{given}</answer>")


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_integers_agree_only_with_themselves(wanted: int, given: int) -> None:
    assert judge("number", str(wanted), f"{given:,}").correct == (wanted == given)


@given(st.fractions(max_denominator=999))
def test_a_fraction_agrees_with_itself_however_written(value: Any) -> None:
    sign, top, bottom = ("-" if value < 0 else ""), abs(value.numerator), value.denominator
    for written in (f"{sign}{top}/{bottom}", f"{sign}\\frac{{{top}}}{{{bottom}}}"):
        assert judge("number", f"{value.numerator}/{bottom}", written).correct
