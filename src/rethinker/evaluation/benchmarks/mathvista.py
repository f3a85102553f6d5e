"""MathVista (Lu et al., ICLR 2024): mathematical questions about pictures, from 31 sources.

Officially a language model extracts the answer of a response; what follows is rules. The released per-row flags of two
runs follow an older rule (integers by `int(x)`); this is the repository's present one (`int(float(x))`). Licence of the
data: CC BY-SA 4.0, as a test set only; never train on it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from rethinker.errors import DataError
from rethinker.evaluation import unjudged
from rethinker.evaluation.benchmark import Question, RowVerdict
from rethinker.evaluation.benchmarks.settings import chosen
from rethinker.evaluation.columns import is_hub, number, section, text, texts, wrong
from rethinker.evaluation.judge import Judge, demonstration
from rethinker.evaluation.judged import JudgedBenchmark
from rethinker.evaluation.letters import letters
from rethinker.evaluation.levenshtein import nearest
from rethinker.evaluation.published import PublishedRow, published_rows

SPLITS = ("testmini", "test")

NEEDS = ("pid", "question", "choices", "unit", "precision", "answer", "question_type", "answer_type", "metadata")
LABELS = ("language", "source", "category", "task", "context", "grade")

CHOICE = "multi_choice"

HINTS = {
    ("text", None): "and provide the correct option letter, e.g., A, B, C, D, at the end.",
    ("integer", None): "requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end.",
    (
        "float",
        1,
    ): "requiring a floating-point number with one decimal place and provide the final value, e.g., 1.2, 1.3, "
    "1.4, at the end.",
    ("float", 2): "requiring a floating-point number with two decimal places and provide the final value, e.g., 1.23, "
    "1.34, 1.45, at the end.",
    (
        "list",
        None,
    ): "requiring a Python list as an answer and provide the final list, e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end.",
}
"""(kind of answer, decimals) → how the hint goes on."""

BRACKETED = re.compile(r"\(([a-zA-Z])\)")
QUOTED = re.compile(r'The answer is "(.*)"\.')

JUDGE_TOKENS = 1024


class MathVista(JudgedBenchmark):
    """MathVista's testmini or test split, which is the setting; the answers of the latter are withheld."""

    name = "mathvista"
    styles = ("official",)

    def __init__(self, setting: str = "") -> None:
        self._split = chosen("mathvista", setting, SPLITS)

    def read(self, path: Path) -> list[Question]:
        """Questions of the hub's parquet, or of the repository's JSON."""
        needs = (*NEEDS, "decoded_image") if is_hub(path) else NEEDS
        return [_question(row) for row in published_rows(path, needs=needs, within=(self._split,))]

    def prompt(self, question: Question, style: str) -> str:
        """The hub's `query`, which the repository's JSON lacks: a hint, the question, its options."""
        assert style in self.styles
        if question.extra["query"]:
            return str(question.extra["query"])
        hint = HINTS[cast("tuple[str, int | None]", (question.extra["answer_type"], question.extra["precision"]))]
        unit = f" (Unit: {question.extra['unit']})" if question.extra["unit"] else ""
        lines = [f"Hint: Please answer the question {hint}", f"Question: {question.text}{unit}"]
        if question.options:
            lines += ["Choices:", *(f"({name}) {option}" for name, option in _named(question))]
        return "\n".join(lines).strip()

    def verdict(self, question: Question, response: str, *, extracted: bool) -> RowVerdict:
        """Normalise an extracted answer and compare; without a judge the official quick path and ours extract it."""
        if question.answer is None:
            raise DataError(f"the answer of question {question.id} is withheld; only the authors' server can score it")
        answer, why = (response, "given") if extracted else _extracted(question, response)
        if answer is None:
            return RowVerdict(extracted=None, score=0.0, why="the rules find no answer, and there is no judge")
        prediction = _normalised(question, answer)
        return RowVerdict(
            extracted=answer,
            score=float(prediction == question.answer),
            why=f"{why}; normalised to {prediction!r}, wanted {question.answer!r}",
        )

    def asks_judge(self, *, extracted: bool) -> bool:
        """Only for the extraction."""
        return not extracted

    def judged(self, question: Question, response: str, judge: Judge, *, extracted: bool) -> RowVerdict:
        """Score a response whose answer the judge extracts, unless the quick path does."""
        answer = response if extracted else _quick(question, response)
        if answer is None:
            shown = f"{demonstration('mathvista_extract')}\n\n{self.prompt(question, 'official')}\n\n{response}"
            answer = judge.ask(f"{shown}\n\nExtracted answer: ", str.strip, max_tokens=JUDGE_TOKENS)
        return self.verdict(question, answer, extracted=True)


def _question(row: PublishedRow) -> Question:
    described = section(row, "metadata")
    kind, answer_type, precision = text(row, "question_type"), text(row, "answer_type"), number(row, "precision")
    decimals = None if precision is None else int(precision)
    query = text(row, "query")
    if not query and (answer_type, decimals) not in HINTS:
        raise wrong(row, "answer_type", "text, integer, float with one or two decimals, or list")
    labels: dict[str, tuple[str, ...]] = {"question_type": (kind,), "answer_type": (answer_type,)}
    labels |= {name: (str(described[name]),) for name in LABELS if described.get(name) is not None}
    skills = described.get("skills")
    labels["skills"] = tuple(map(str, skills)) if isinstance(skills, list) else ()
    return Question(
        id=text(row, "pid"),
        text=text(row, "question"),
        options=texts(row, "choices"),
        answer=text(row, "answer") or None,
        kind=kind,
        labels=labels,
        images=row.images("decoded_image") or row.images("image"),
        extra={"answer_type": answer_type, "precision": decimals, "unit": text(row, "unit"), "query": query},
    )


def _named(question: Question) -> list[tuple[str, str]]:
    return list(zip(letters(len(question.options)), question.options, strict=True))


def _quick(question: Question, response: str) -> str | None:
    """The official extraction where it asks no language model; None where it would."""
    if response == "" or (question.kind == CHOICE and response in question.options):
        return response
    try:
        if question.extra["answer_type"] == "integer":
            return str(int(response))
        if question.extra["answer_type"] == "float":
            return str(float(response))
    except ValueError:
        return None
    return None


def _extracted(question: Question, response: str) -> tuple[str | None, str]:
    """An answer without a language model, and what found it."""
    if (answer := _quick(question, response)) is not None:
        return answer, "the official quick path"
    if found := QUOTED.search(response):
        return found[1], "the official pattern"
    if question.kind == CHOICE:
        return unjudged.letter(response, len(question.options)), "our rule for a letter"
    if question.extra["answer_type"] == "list":
        return unjudged.listed(response), "our rule for a list"
    return unjudged.number(response), "our rule for a number"


def _normalised(question: Question, answer: str) -> str | None:
    """The option meant, or the number as the gold is written; None where the answer is no number."""
    if question.kind == CHOICE:
        return _option(question, answer.strip())
    precision = question.extra["precision"]
    try:
        if question.extra["answer_type"] == "integer":
            return str(int(float(answer)))
        if question.extra["answer_type"] == "float":
            return str(round(float(answer), precision if isinstance(precision, int) else 0))
    except (ValueError, OverflowError):
        return None
    return answer


def _option(question: Question, answer: str) -> str:
    """The option of the first letter in brackets, or of the letter itself; else the one that is spelled most alike."""
    if found := BRACKETED.search(answer):
        answer = found[1].upper()
    options = dict(_named(question))
    return options[answer] if answer in options else nearest(answer, question.options)
