"""What MathVista's, MMMU's, MMMU-Pro's and MathVerse's rules make of single responses, strange ones too."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinker.evaluation import open_answers, unjudged
from rethinker.evaluation.benchmark import Benchmark, Question
from rethinker.evaluation.benchmarks.mathverse import MathVerse
from rethinker.evaluation.benchmarks.mathvista import MathVista
from rethinker.evaluation.benchmarks.mmmu import MMMU
from rethinker.evaluation.benchmarks.mmmu_pro import MMMUPro

OPTIONS = ("red", "green", "blue", "none of these")


def question(
    answer: object = "B", *, options: tuple[str, ...] = OPTIONS, kind: str = "multiple-choice", **extra: object
) -> Question:
    return Question(
        id="validation_Art_1",
        text="Which?",
        options=options,
        answer=answer,
        kind=kind,
        labels={},
        images=(),
        extra=extra,
    )


def free(answer: object) -> Question:
    return question(answer, options=(), kind="open")


def vista(answer: str, answer_type: str, precision: int | None = None, options: tuple[str, ...] = ()) -> Question:
    kind = "multi_choice" if options else "free_form"
    return question(answer, options=options, kind=kind, answer_type=answer_type, precision=precision, unit="", query="")


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("B", "B"),
        (" (B) ", "B"),
        ("'B'.", "B"),
        ("I first thought (A), then (C), no: (B)", "B"),
        ("A is wrong, so it must be B", "B"),
        ("It is B or A ", "A"),
        ("the colour of the wall is green, not red I think", "A"),
        ("the colour of the wall is clearly Green here", "B"),
        ("green", None),
        ("B) green", None),
        ("(E)", None),
        ("b", None),
        ("", None),
        ("A.,", "A"),
        ("A,.", None),
    ],
)
def test_mmmus_letter(response: str, letter: str | None):
    verdict = MMMU().verdict(question(), response, extracted=False)
    assert verdict.extracted == letter
    assert verdict.score == (None if letter is None else float(letter == "B"))


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("The options are A and C.\nAnswer: B", "B"),
        ("Answer: A\nAnswer: (B).", "B"),
        ("Answer: B, since A is wrong", "A"),
        ("Answer: Green", None),
        ("**B. green**", "B"),
        ("B) green (C)", "C"),
        ("SUB x", "B"),
        ("A is not B here", "B"),
        ("no colour on the wall that is blue", "C"),
        ("", None),
    ],
)
def test_mmmu_pros_letter(response: str, letter: str | None):
    verdict = MMMUPro().verdict(question(), response, extracted=False)
    assert verdict.extracted == letter


def test_an_extracted_letter_is_only_compared():
    for benchmark in (MMMU(), MMMUPro()):
        assert benchmark.verdict(question(), " B\n", extracted=True).correct is True
        assert benchmark.verdict(question(), "(B)", extracted=True).correct is False


def test_where_options_are_not_known_a_quoted_one_counts_and_letters_up_to_i():
    bare = question("A", options=())
    assert MMMU().verdict(bare, "A) the capital lay in the east then", extracted=False).extracted == "A"
    assert MMMU().verdict(bare, "A) the capital", extracted=False).score is None
    assert MMMU().verdict(bare, "I", extracted=False).extracted == "I"


@pytest.mark.parametrize(
    ("gold", "response", "right"),
    [
        ("7", "So x = 3 + 4 = 7", True),
        ("7", "7.004", True),
        ("7", "7.006", False),
        ("1000", "the total is 1,000 dollars", True),
        ("0.000002", "2e-6", True),
        ("trans", "Trans-2-butene", True),
        ("x", "The answer is x.", True),
        ("x", "maximum", False),
        ("x", "it is x or y", True),
        (("$MgS$", "MgS"), "The compound is MgS", True),
        ("Paris", "It is Paris.\nSo the country is France", True),
        ("12", "We get 3.\nThe rest follows", False),
        ("5", "", False),
    ],
)
def test_mmmus_open_answers(gold: object, response: str, right: bool):
    assert MMMU().verdict(free(gold), response, extracted=False).correct is right
    assert MMMU().verdict(free(gold), response, extracted=True).correct is right


SCIENTIFIC = re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+")
PLAIN = re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])")


@given(text=st.text(alphabet="019.,eE+-x \n٣", max_size=25))
def test_numbers_are_found_as_by_the_patterns_that_backtrack(text: str):
    assert open_answers.SCIENTIFIC.findall(text) == SCIENTIFIC.findall(text)
    assert open_answers.PLAIN.findall(text) == PLAIN.findall(text)


@pytest.mark.parametrize(
    ("row", "extraction", "right"),
    [
        (vista("5", "integer"), "5.0", True),
        (vista("32", "integer"), "32.5", True),
        (vista("5", "integer"), " 5 ", True),
        (vista("5", "integer"), "five", False),
        (vista("5", "integer"), "inf", False),
        (vista("5", "integer"), "", False),
        (vista("1.2", "float", 1), "1.24", True),
        (vista("1.20", "float", 2), "1.2", False),
        (vista("[1, 2]", "list"), "[1, 2]", True),
        (vista("[1, 2]", "list"), "[1,2]", False),
        (vista("green", "text", None, OPTIONS), "B", True),
        (vista("green", "text", None, OPTIONS), "(b) green", True),
        (vista("green", "text", None, OPTIONS), "(B) or (A)", True),
        (vista("green", "text", None, OPTIONS), "gren", True),
        (vista("green", "text", None, OPTIONS), "b", False),
        (vista("red", "text", None, OPTIONS), "", True),
        (vista("red", "text", None, OPTIONS), "(E)", True),
        (vista("a", "text", None, ("", "a")), "A", False),
    ],
)
def test_mathvista_normalises_as_the_repository_does_now(row: Question, extraction: str, right: bool):
    assert MathVista().verdict(row, extraction, extracted=True).correct is right


@pytest.mark.parametrize(
    ("row", "response", "extracted"),
    [
        (vista("5", "integer"), "5", "5"),
        (vista("5", "integer"), "5.0 cats", "5.0"),
        (vista("5", "integer"), r"2 and 3, thus \boxed{5}. All 7 agree.", "5"),
        (vista("1450", "integer"), "The total is $1,450.", "1450"),
        (vista("5", "integer"), "none to be seen", None),
        (vista("[1, 2]", "list"), "between [1, 2] I think", "[1, 2]"),
        (vista("green", "text", None, OPTIONS), "green", "green"),
        (vista("green", "text", None, OPTIONS), 'The answer is "green".', "green"),
        (vista("green", "text", None, OPTIONS), "A wall may be (A) or (B).", "B"),
        (vista("green", "text", None, OPTIONS), "The correct option letter is B.", "B"),
        (vista("green", "text", None, OPTIONS), "A wall has no colour", None),
    ],
)
def test_mathvista_without_a_judge(row: Question, response: str, extracted: str | None):
    verdict = MathVista().verdict(row, response, extracted=False)
    assert verdict.extracted == extracted
    if extracted is None:
        assert verdict.score == 0.0
        assert "there is no judge" in verdict.why


@pytest.mark.parametrize(
    ("gold", "kind", "response", "right"),
    [
        ("D", "multi-choice", "D:140°", True),
        ("D", "multi-choice", r"First (A), finally \boxed{\text{D}}", True),
        ("(C)", "multi-choice", "The answer is C", True),
        ("C\nD", "multi-choice", "C", False),
        ("D", "multi-choice", "A triangle", False),
        ("14", "free-form", "It is\n14 cm.", True),
        ("14", "free-form", r"\boxed{14\text{ cm}}", True),
        (r"4\sqrt{6}", "free-form", r"\boxed{\sqrt{96}}", True),
        (r"4\sqrt{6}", "free-form", "9.7", False),
        ("118掳T", "free-form", "118掳T", True),
    ],
)
def test_mathverse_without_a_judge(gold: str, kind: str, response: str, right: bool):
    assert MathVerse().verdict(question(gold, options=(), kind=kind), response, extracted=False).correct is right


def test_mathverses_quick_match_is_equality():
    row = question("14", options=(), kind="free-form")
    assert MathVerse().verdict(row, "14", extracted=True).correct is True
    assert MathVerse().verdict(row, "14.0", extracted=True).correct is False


ROWS: list[tuple[Benchmark, Question]] = [
    (MathVista(), vista("5", "integer")),
    (MathVista(), vista("5.0", "float", 1)),
    (MathVista(), vista("green", "text", None, OPTIONS)),
    (MathVista(), vista("[1, 2]", "list")),
    (MMMU(), question()),
    (MMMU(), free("7")),
    (MMMUPro(), question()),
    (MathVerse(), question("D", options=(), kind="multi-choice")),
    (MathVerse(), question("14", options=(), kind="free-form")),
]

STRANGE = (
    "", " ", "\0", "\ud800", "−7", "7−9", "1,00,0", "(((((B", "\\boxed{", "\\boxed{\\boxed{B}}", "\\boxed{{{}{B}}",
    "B" * 100_000, "9" * 100_000, "9" * 100_000 + "x", "-" * 100_000, "1," * 50_000, "1.5e" * 30_000, "(B)" * 30_000,
    "answer is " * 10_000, "[" * 100_000, "\n" * 100_000, "\\boxed{" * 15_000, "Answer:" * 15_000, "So = " * 20_000,
    "1e999999999", "nan", "Ａ", "٣", "A,B,C,D", "the answer is (B) or (C)?",
)  # fmt: skip


@pytest.mark.parametrize("extracted", [False, True])
@pytest.mark.parametrize("place", range(len(ROWS)))
def test_strange_responses_have_a_verdict(place: int, extracted: bool):
    benchmark, row = ROWS[place]
    for response in STRANGE:
        verdict = benchmark.verdict(row, response, extracted=extracted)
        assert verdict.score in (None, 0.0, 1.0), response[:40]
        assert verdict.why


@given(response=st.text(max_size=60), place=st.integers(0, len(ROWS) - 2))
def test_any_response_has_a_verdict(response: str, place: int):
    benchmark, row = ROWS[place]
    for extracted in (False, True):
        assert benchmark.verdict(row, response, extracted=extracted).why


def test_a_marked_answer_that_is_too_long_is_none():
    assert unjudged.marked("\\boxed{" + "x" * 2000 + "}") is None
