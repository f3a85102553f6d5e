"""EMMA: where the fast rule finds the answer, the prompts of the given rows, and the breakdowns."""

import gzip
import json
from pathlib import Path

import pytest
from asking import write_lines
from scripts.parity import ASSETS

from rethinker.evaluation.benchmarks.emma import Emma, fast_answer

MINI = ASSETS / "emma" / "gt" / "emma_mini_400.jsonl.gz"


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (" b ", "B"),
        ("C: the third", "C"),
        ("D. since", "D"),
        ("3.5", "3.5"),
        ("so \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{A} or \\boxed{ B }", "B"),
        ("\\boxed{\\text{C}}", "C"),
        ("\\boxed{never closed. The answer is D. Really", "d"),
        ("Answer: x = 3\nmore", "x = 3"),
        ("no idea", ""),
    ],
)
def test_the_answer_found(response: str, answer: str) -> None:
    assert fast_answer(response) == answer


@pytest.mark.skipif(not MINI.is_file(), reason=f"the given questions are not here: {MINI}")
def test_prompts_are_the_authors_on_every_given_row() -> None:
    emma = Emma()
    with gzip.open(MINI, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    questions = emma.read(MINI)
    assert [emma.prompt(question, "cot") for question in questions] == [row["query_CoT"] for row in rows]
    assert [emma.prompt(question, "direct") for question in questions] == [row["query_Direct"] for row in rows]


def test_a_coding_question_counts_in_each_of_its_categories(tmp_path: Path) -> None:
    row = {
        "pid": "c1",
        "question": "?",
        "options": ["x", "y"],
        "answer": "B",
        "subject": "Coding",
        "type": "Multiple choice",
        "category": "Bar; 3D",
        "task": "Vis Choose Code",
        "context": "",
    }
    [read] = Emma().read(write_lines(tmp_path / "emma.jsonl", [row]))
    assert read.labels["category"] == ("Coding/Bar", "Coding/3D")
    assert read.labels["task"] == ("Coding_Vis Choose Code",)
    assert read.labels["question_type"] == ("multiple choice",)
    assert read.extra["content"] == "y"
