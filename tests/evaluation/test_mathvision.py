"""MATH-Vision: where the rule finds the answer, how it cleans it, and the authors' prompts."""

from pathlib import Path

import pytest
from asking import mathvision_row, question, write_lines

from rethinker.errors import DatasetError
from rethinker.evaluation.benchmarks.mathvision import MathVision
from rethinker.evaluation.benchmarks.mathvision_text import cleaned, pick


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("60", "60"),
        ("so it must be (C).", "c"),
        ("B\nbecause it is", "b"),
        ("(D) D\nis what I see", "d"),
        ("the length is 12.5.", "12.5"),
        ("The answer is 7. I am sure", "7"),
        ("the correct answer is x\nand more", "x"),
        ("\\boxed{1} then \\boxed{2}", "2"),
        ("\\boxed{x = \\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{12\\text{ cm}} as said", "12{cm}"),
        ("\\boxed{3/4}", "\\frac{3}{4}"),
        ("\\boxed{0.5}", "\\frac{1}{2}"),
        ("\\boxed{.5}", "\\frac{1}{2}"),
        ("\\boxed{.25}", "0.25"),
        ("\\boxed{\\sqrt3+\\frac12}", "\\sqrt{3}+\\frac{1}{2}"),
        ("\\boxed{90^{\\circ}}", "90"),
        ("\\boxed{(A)}", "a"),
        ("\\boxed{5}} trailing", "5"),
        ("\\boxed{5 units}", "5"),
        ("†Answer: B", "†answer:b"),
        ("", ""),
    ],
)
def test_the_answer_found(response: str, answer: str) -> None:
    assert cleaned(pick(response)) == answer


def test_a_text_that_equals_decides_without_latex() -> None:
    rule = MathVision()
    choice = question(answer="B", options=("1", "2", "3", "4", "5"))
    assert rule.verdict(choice, "\\boxed{B}", extracted=False).score == 1
    assert rule.verdict(choice, " ", extracted=False).extracted is None
    assert rule.verdict(question(), "60", extracted=True).score == 1


ASKED = question(answer="A", options=("A", "B", "C", "D", "E"))
LISTED = question(answer="A", options=("1", "2", "3", "4", "5"))
OPTIONS = "(A) 1\n(B) 2\n(C) 3\n(D) 4\n(E) 5\n"
ONE_BOX = 'in one "\\boxed{}". If it is a multiple choice question, only one letter is allowed in the "\\boxed{}".\n'


@pytest.mark.parametrize(
    ("asked", "style", "prompt"),
    [
        (ASKED, "cot", f"Please solve the problem and put your answer {ONE_BOX}How many?\n"),
        (LISTED, "cot", f"Please solve the problem and put your answer {ONE_BOX}How many?\n{OPTIONS}"),
        (
            LISTED,
            "cot_steps",
            f"Please solve the problem step by step and put your answer {ONE_BOX}How many?\n{OPTIONS}",
        ),
        (LISTED, "direct", f"How many?\n{OPTIONS}\nAnswer the question using a single word or phrase."),
        (ASKED, "direct", "How many?\n\nAnswer the question using a single word or phrase."),
        (
            question(),
            "cot_gemini",
            "Please first solve the problem step by step, then put your final answer or a single letter (if it is a "
            'multiple choice question) in one "\\boxed{}". \nHow many?\n',
        ),
    ],
)
def test_prompts_are_the_authors(asked, style: str, prompt: str) -> None:
    assert MathVision().prompt(asked, style) == prompt


def test_rows_are_read_with_every_official_breakdown(tmp_path: Path) -> None:
    [read] = MathVision().read(write_lines(tmp_path / "test.jsonl", [mathvision_row("7", "3")]))
    assert read.labels == {"level": ("1",), "subject": ("algebra",), "subject_level": ("algebra_level1",)}
    assert (read.id, read.answer, read.options, read.images) == ("7", "3", (), ())


def test_an_image_beside_the_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "7.jpg").write_bytes(b"")
    [read] = MathVision().read(write_lines(tmp_path / "test.jsonl", [mathvision_row("7", "3")]))
    assert [ref.file.name for ref in read.images] == ["7.jpg"]


def test_a_gold_that_names_no_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="names none of the options"):
        MathVision().read(write_lines(tmp_path / "test.jsonl", [mathvision_row("7", "F", "ABCDE")]))
