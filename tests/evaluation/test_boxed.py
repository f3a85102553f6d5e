"""The uniform protocol: one prompt, one rule."""

import pytest
from asking import question

from rethinker.evaluation.benchmarks.mathvision import MathVision
from rethinker.evaluation.boxed import Boxed, boxed_answer

BOXED = Boxed(MathVision())


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("\\boxed{1} and \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{2} and \\boxed{3", "2"),
        ("<answer> 4 </answer> Answer: 5", "4"),
        ("Answer: 5\nAnswer: 6", "6"),
        ("just 7", "just 7"),
        ("}}{\\boxed{a{b}c}", "a{b}c"),
        ("", ""),
    ],
)
def test_the_answer_found(response: str, answer: str) -> None:
    assert boxed_answer(response) == answer


@pytest.mark.parametrize(
    ("gold", "options", "response", "score"),
    [
        ("60", (), "\\boxed{60.0}", 1),
        ("60", (), "\\boxed{61}", 0),
        ("\\frac{1}{2}", (), "\\boxed{0.5}", 1),
        ("12", (), "\\boxed{12 cm}", 1),
        ("C", tuple("12345"), "\\boxed{C}", 1),
        ("C", tuple("12345"), "\\boxed{(C) 3}", 1),
        ("C", tuple("12345"), "\\boxed{3}", 0),
        (("7", "8"), (), "\\boxed{8}", 1),
        ({"a": "7"}, (), "\\boxed{7}", 1),
        ({"a": "7", "b": "8"}, (), "\\boxed{7}", 0),
        ("60", (), "", 0),
    ],
)
def test_verdicts(gold: object, options: tuple[str, ...], response: str, score: float) -> None:
    asked = question(answer=gold, content="", options=()) if not options else question(answer=gold, options=options)
    assert BOXED.verdict(asked, response, extracted=False).score == score


def test_the_text_of_an_option_as_gold_stands_for_its_letter() -> None:
    asked = question(answer="A", options=("red", "blue"))
    by_text = type(asked)(**{name: getattr(asked, name) for name in asked.__slots__} | {"answer": "blue"})
    assert BOXED.verdict(by_text, "\\boxed{B}", extracted=False).score == 1


def test_the_prompt_ends_in_the_instruction() -> None:
    asked = question(answer="A", options=("red", "blue"))
    assert BOXED.prompt(asked, "cot") == (
        "How many?\n(A) red\n(B) blue\n\nPlease reason step by step, and put your final answer within \\boxed{}."
    )
