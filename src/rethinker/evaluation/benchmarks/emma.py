"""EMMA and EMMA-mini: mathematics, physics, chemistry and coding that need the picture; scored by the fast rule.

Source: https://github.com/EMMA-Bench/EMMA, whose fast evaluation this is, written anew: the same verdict on every
response. The authors' other scoring, a chat model that reads response and answer, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rethinker.errors import DatasetError
from rethinker.evaluation.benchmark import Benchmark, Question, RowVerdict
from rethinker.evaluation.published import PublishedRow, published_rows

LETTERS = "ABCDEFGH"
MOST_IMAGES = 5
FLAGS = ("final answer is", "correct answer is", "answer should be", "answer is", "answer:")

NOT_THE_SAME = 1e-6
"""Relative; values further apart than this are of expressions that differ, and need no simplifying to be told apart."""

_CHOICE = (
    'Answer with the option\'s letter from the given choices and put the letter in one "\\boxed{}". ',
    'Answer the question using a single word or phrase and put the answer in one "\\boxed{}". ',
)
STRATEGIES = {
    "cot": "Please solve the problem step by step.",
    "direct": "Please ensure that your output only contains the final answer without any additional content (such as "
    "intermediate reasoning steps).",
}

_BOX = "\\boxed{"
_TEXT = re.compile(r"\\text{(.*?)}")


class Emma(Benchmark):
    """Reads, asks and scores EMMA."""

    name = "emma"
    scorer = "latex2sympy"
    styles = ("cot", "direct")

    def read(self, path: Path) -> list[Question]:
        """The questions of EMMA or EMMA-mini: one subject's parquet, or a folder of all four."""
        needs = ("pid", "question", "options", "answer", "subject", "type", "category", "task")
        return [_question(row) for row in published_rows(path, needs=needs)]

    def prompt(self, question: Question, style: str) -> str:
        """Context, question, lettered options, and how to answer; `<image_n>` stands where an image belongs."""
        head = f"{question.extra['context']}\n{question.text}\n"
        if not _is_choice(question.kind):
            return head + _CHOICE[1] + STRATEGIES[style]
        options = "".join(f"{chr(ord('A') + place)}: {text}\n" for place, text in enumerate(question.options))
        return f"{head}{options}\n{_CHOICE[0]}{STRATEGIES[style]}"

    def verdict(self, question: Question, response: str, *, extracted: bool) -> RowVerdict:
        """Compare the answer with the gold letter or value, and with the text of the gold's option."""
        if not response:
            return RowVerdict(extracted=None, score=0.0, why="the response is empty")
        answer = response if extracted else fast_answer(response)
        reasons = []
        for name, gold in (("the answer", str(question.answer)), ("the option's text", str(question.extra["content"]))):
            same, why = equal(answer, gold)
            if same:
                return RowVerdict(extracted=answer, score=1.0, why=f"{name} {gold!r}: {why}")
            reasons.append(f"{name} {gold!r}: {why}")
        return RowVerdict(extracted=answer or None, score=0.0, why="; ".join(reasons))

    def prepare(self) -> None:
        """Import latex2sympy and word2number."""
        import word2number.w2n

        from rethinker.evaluation import latex_values  # noqa: F401 (imported for the calls to come)

        assert word2number.w2n


def fast_answer(response: str) -> str:
    """The answer: a lone letter or number, the last box, or what follows a flag; empty when there is none."""
    response = response.strip()
    for letter in LETTERS:
        if response.upper() == letter or response.startswith((f"{letter}:", f"{letter}.")):
            return letter
    if _is_number(response):
        return response
    if boxes := list(_boxes(response)):
        texts = _TEXT.findall(boxes[-1])
        return str(texts[-1] if texts else boxes[-1]).strip()
    lowered = response.lower()
    flag = next((flag for flag in FLAGS if flag in lowered), None)
    return lowered.split(flag)[-1].strip().split("\n")[0].split(".")[0] if flag else ""


def equal(answer: str, gold: str) -> tuple[bool, str]:
    """Whether two answers are the same, and by what: text, a number in words, or LaTeX's value of two decimals."""
    answer, gold = answer.lower(), gold.lower()
    if answer.strip() == gold.strip():
        return True, "the same text"
    if _in_words(answer) == gold.strip():
        return True, "the same number in words"
    from rethinker.evaluation.latex_values import evaluated, identical

    values: dict[str, tuple[Any, float]] = {}
    for text in sorted((gold, answer), key=len):  # a lone letter has no value, and spares reading the other
        value = evaluated(text)
        if value is None:
            return False, f"another text, and {text!r} has no value"
        values[text] = value
    wanted, given = values[gold], values[answer]
    if round(given[1], 2) == round(wanted[1], 2):
        return True, f"both are {wanted[1]:.2f}, to two decimals"
    close = abs(given[1] - wanted[1]) <= NOT_THE_SAME * max(abs(given[1]), abs(wanted[1]))
    if close and identical(given[0], wanted[0]):
        return True, "the same expression"
    return False, f"{given[1]:.6g} is not {wanted[1]:.6g}, to two decimals"


def _in_words(text: str) -> str | None:
    from word2number import w2n

    try:
        return str(w2n.word_to_num(text)).strip()
    except ValueError:
        return None


def _boxes(text: str) -> Iterator[str]:
    """What the closed boxes hold, outermost ones alone; braces are counted, escaped or not."""
    start = text.find(_BOX)
    while start >= 0:
        depth, end = 1, start + len(_BOX)
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if depth:
            return
        yield text[start + len(_BOX) : end - 1]
        start = text.find(_BOX, end)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_choice(kind: str) -> bool:
    return kind.lower() == "multiple choice"


def _question(row: PublishedRow) -> Question:
    fields = row.fields
    options, answer, kind = fields["options"] or (), str(fields["answer"]), str(fields["type"])
    content = answer
    if _is_choice(kind):
        place = ord(answer.upper()) - ord("A") if len(answer) == 1 else -1
        if not isinstance(options, list) or not 0 <= place < len(options):
            raise DatasetError(
                f"{row.file}, question {fields['pid']}: the answer {answer!r} names none of the options {options!r}"
            )
        content = str(options[place])
    assert isinstance(options, list | tuple)
    return Question(
        id=str(fields["pid"]),
        text=str(fields["question"]),
        options=tuple(str(option) for option in options),
        answer=answer,
        kind=kind,
        labels=_labels(str(fields["subject"]), kind, str(fields["category"] or ""), str(fields["task"] or "")),
        images=tuple(ref for number in range(1, MOST_IMAGES + 1) for ref in row.images(f"image_{number}")),
        extra={"context": fields.get("context", ""), "content": content},
    )


def _labels(subject: str, kind: str, category: str, task: str) -> dict[str, tuple[str, ...]]:
    """The official cells; a coding question may be of several categories."""
    categories = [part.strip() for part in category.split(";")] if subject == "Coding" else [category]
    return {
        "subject": (subject,),
        "question_type": (kind.lower(),),
        "category": tuple(f"{subject}/{name}" for name in categories) if category else (),
        "task": (f"{subject}_{task}",) if task else (),
    }
