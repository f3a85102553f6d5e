"""Answer extraction: which answer a response commits to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinker.rewards.extract import final_answer, plain, trim


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{3}", "3"),
        (r"first \boxed{3}. Wait, \boxed{4}", "4"),
        (r"\boxed {5}", "5"),
        ("\\boxed\n{ 5 }", "5"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\left\{ 1, 2 \right.} and on", r"\left\{ 1, 2 \right"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{x = \boxed{3}}", "3"),
        (r"\boxed{$7$}", "7"),
        (r"\boxed{\(7\)}", "7"),
        (r"\boxed{B.}", "B"),
        (r"\boxed{.5}", ".5"),
        (r"\boxed{5\$}", "5"),
        (r"\boxed{-3}", "-3"),
        (r"\boxed{3}. I put it within \boxed{}.", "3"),
        (r"\boxed{3} \boxed", "3"),
        ("<answer> 12 </answer>", "12"),
        ("<answer>1</answer> then <ANSWER>2</ANSWER>", "2"),
        (r"<answer>\boxed{9}</answer>", "9"),
        (r"\boxed{1} <answer>2</answer> Answer: 3", "1"),
        ("<answer>2</answer>\nAnswer: 3", "2"),
        ("Answer: 42.", "42"),
        ("Final Answer: 42\nAnswer: 43\nthank you", "43"),
        ("**Answer:** **B**", "B"),
        ("the answer : yes", "yes"),
        ("**Final Answer:**\n\n$17$\nbye", "17"),
    ],
)
def test_the_last_answer_of_the_first_kind_of_mark_is_taken(response: str, answer: str) -> None:
    assert final_answer(response) == answer


@pytest.mark.parametrize(
    "response",
    [
        "",
        "42",
        r"\boxed{}",
        r"\boxed{.}",
        r"\boxed 3",
        r"\fbox{3}",
        "Answer:",
        "Answer: \n\n",
        "answers: 3",
        "<answer></answer>",
    ],
)
def test_without_a_mark_or_content_there_is_no_answer(response: str) -> None:
    assert final_answer(response) is None


@pytest.mark.parametrize(
    "response",
    [
        r"\boxed{3}. Wait, \boxed{4",
        r"\boxed{3} \boxed{\frac{1}{2}",
        "<answer>1</answer> Wait <answer>2",
        r"Answer: 3 \boxed{4\}",
    ],
)
def test_an_answer_cut_off_is_none_and_nothing_before_it_counts(response: str) -> None:
    assert final_answer(response) is None


@pytest.mark.parametrize(
    "unit",
    [
        "\\boxed{",
        "\\boxed",
        "\\boxed{}",
        "\\boxed{ ",
        "{",
        "\\",
        "<answer>",
        "answer ",
        "answer:",
        "\\boxed   ",
        "a\n",
        "Answer: *",
    ],
)
def test_a_megabyte_of_hostile_text_is_read_in_one_pass(unit: str) -> None:
    # Quadratic work on a megabyte takes hours: the test would not end. There is no clock in it.
    text = unit * (1_000_000 // len(unit))
    assert final_answer(text) is None or unit == "Answer: *"
    assert final_answer("\\boxed{7}" + text) in {"7", None}


balanced = st.recursive(
    st.text(alphabet="abc12 +-=", max_size=5),
    lambda inner: st.builds(lambda a, b, c: a + "{" + b + "}" + c, inner, inner, inner),
    max_leaves=8,
)


@given(balanced, st.text(alphabet="xyz .", max_size=10))
def test_balanced_braces_come_back_whole(content: str, after: str) -> None:
    assert final_answer("text \\boxed{" + content + "}" + after) == (trim(content) or None)


@given(st.text() | st.text(alphabet="\\boxed{}<answer>/:$ \n()[]"))
def test_extraction_never_raises_and_never_returns_nothing_as_an_answer(text: str) -> None:
    answer = final_answer(text)
    assert answer is None or answer.strip()


@given(st.text(max_size=200))
def test_taking_typography_off_never_raises(text: str) -> None:
    plain(trim(text))


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\text{red}", "red"),
        (r"\textbf{\text{red}}", "red"),
        (r"5\,\mathrm{cm}", "5 cm"),
        (r"1\,234", "1,234"),
        (r"1{,}234", "1,234"),
        (r"50\%", "50%"),
        (r"\left( 1, 2 \right)", "( 1, 2 )"),
        ("−3", "-3"),
        ("a~b\n c", "a b c"),
        (r"\leftarrow", r"\leftarrow"),
    ],
)
def test_typography_is_taken_off(latex: str, text: str) -> None:
    assert plain(latex) == text
