import pytest

from rethinker.data.rows import infer_verifier, make_row, option_letter, options_in, unbox
from rethinker.errors import DataError


@pytest.mark.parametrize(
    ("answer", "bare"),
    [
        ("\\boxed{A}", "A"),
        (" $\\boxed{\\frac{1}{2}}$ ", "\\frac{1}{2}"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed{1} and \\boxed{2}", "\\boxed{1} and \\boxed{2}"),
        ("$3$", "$3$"),
        ("3", "3"),
        ("\\boxed{}", ""),
    ],
)
def test_only_a_box_around_the_whole_answer_is_unwrapped(answer: str, bare: str) -> None:
    assert unbox(answer) == bare


@pytest.mark.parametrize("answer", ["3", "-2.5", "1,234", "45%", "1e-6", ".5", "−4", "3."])
def test_a_written_number_is_verified_as_number(answer: str) -> None:
    assert infer_verifier(answer, question="How many?") == "number"


@pytest.mark.parametrize("answer", ["\\frac{1}{2}", "x^2", "3/4", "$5$", "a_1"])
def test_a_formula_is_verified_as_latex(answer: str) -> None:
    assert infer_verifier(answer, question="What?") == "latex"


@pytest.mark.parametrize("answer", ["red", "A", "e5", "1,23 m", ",", "and/or"])
def test_anything_else_is_verified_as_text(answer: str) -> None:
    assert infer_verifier(answer, question="What?") == "text"


@pytest.mark.parametrize("question", ["Which? (A) red (B) blue", "Which?\nA. red\nB. blue", "Which?\nA) red\nB) blue"])
def test_a_letter_that_the_question_lists_is_a_choice(question: str) -> None:
    assert infer_verifier("B", question=question) == "choice"
    assert infer_verifier("E", question=question) == "text"


@pytest.mark.parametrize(("answer", "letter"), [("B", "B"), ("(b)", "B"), ("B.", "B"), ("blue", "B"), (" red ", "A")])
def test_an_option_is_named_by_letter_or_text(answer: str, letter: str) -> None:
    assert option_letter(answer, ["red", "blue"]) == letter


@pytest.mark.parametrize(
    ("answer", "choices"),
    [("green", ["red", "blue"]), ("C", ["red", "blue"]), ("red", ["red", "red"]), ("A", ["B", "A"])],
)
def test_an_answer_that_fits_no_option_or_two_is_refused(answer: str, choices: list[str]) -> None:
    with pytest.raises(DataError, match="exactly one"):
        option_letter(answer, choices)


def test_more_options_than_letters_are_refused() -> None:
    with pytest.raises(DataError, match="27 choices"):
        option_letter("A", [str(i) for i in range(27)])


def test_options_are_read_from_the_last_list_in_the_question() -> None:
    question = "Select from (A), (B), (C). (A) a, (B) .5 m, (C) both."
    assert options_in(question) == ("a", ".5 m", "both")
    assert options_in("Which of the figures?") == ()
    assert options_in("(A) one (C) three") == ()


def test_an_empty_box_is_no_answer() -> None:
    row = make_row(id="p", images=(), question="Why?", answer="\\boxed{ }")
    with pytest.raises(DataError, match="problem p has no answer"):
        row.problem(max_pixels=1)


def test_marks_and_images_that_disagree_are_refused_with_and_without_pixels() -> None:
    row = make_row(id="p", images=(), question="<image>Why?", answer="1")
    for read in (row.problem, row.outline):
        with pytest.raises(DataError, match="0 images but 1 <image> marks"):
            read(max_pixels=1)
