"""MMMU (Yue et al., CVPR 2024): college-level questions in 30 subjects with one or more images.

The hub's parquet has a folder per subject with the splits dev, validation and test (whose answers are withheld); its
repository adds a file of the validation set's answers, which has no options. Licence of the data: Apache-2.0.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

from rethinker.errors import DataError
from rethinker.evaluation.benchmark import Benchmark, Question, RowVerdict
from rethinker.evaluation.benchmarks.settings import chosen
from rethinker.evaluation.columns import is_hub, text, texts, wrong
from rethinker.evaluation.image_refs import ImageRef
from rethinker.evaluation.letters import bracketed, letters, padded, quoted, spaced
from rethinker.evaluation.open_answers import agrees, normalised, stated
from rethinker.evaluation.published import PublishedRow, published_rows

SPLITS = ("validation", "dev", "test")

HUB = ("id", "question", "options", "answer", "image_1", "question_type")
"""Columns that every row of the hub has."""

CHOICE = "multiple-choice"

DISCIPLINES = {
    "Art and Design": "Art Art_Theory Design Music",
    "Business": "Accounting Economics Finance Manage Marketing",
    "Science": "Biology Chemistry Geography Math Physics",
    "Health and Medicine": "Basic_Medical_Science Clinical_Medicine Diagnostics_and_Laboratory_Medicine Pharmacy "
    "Public_Health",
    "Humanities and Social Science": "History Literature Sociology Psychology",
    "Tech and Engineering": "Agriculture Architecture_and_Engineering Computer_Science Electronics Energy_and_Power "
    "Materials Mechanical_Engineering",
}
"""Subjects of each discipline."""

DISCIPLINE_OF = {subject: name for name, subjects in DISCIPLINES.items() for subject in subjects.split()}

WITHHELD = "?"
"""The answer of a question whose answer is not published."""

MOST_OPTIONS = 9
"""The most that a question of the validation set has; stands in where a file does not tell the options."""

MARK = re.compile(r"<image\s*(\d+)>")
ID = re.compile(r"[a-z]+_(?P<subject>.+)_\d+")
QUOTED = re.compile(r"\(?([A-I])\)\s")
"""How a response begins that quotes an option."""


class MMMU(Benchmark):
    """MMMU of one split, which is the setting; validation unless another is named."""

    name = "mmmu"
    styles = ("direct",)

    def __init__(self, setting: str = "") -> None:
        self._split = chosen("mmmu", setting, SPLITS)

    def read(self, path: Path) -> list[Question]:
        """Questions of the hub's parquet, of the file of answers, or of a file of outputs with their options."""
        needs = HUB if is_hub(path) else ("question_type",)
        return [_question(row) for row in published_rows(path, needs=needs, within=(self._split,))]

    def prompt(self, question: Question, style: str) -> str:
        """The official template; its empty lines in YAML are single line breaks once read."""
        assert style in self.styles
        if question.kind != CHOICE:
            return f"{question.text}\nAnswer the question using a single word or phrase."
        options = "".join(
            f"({letter}) {option}\n" for letter, option in zip(letters(len(question.options)), question.options)
        )
        return f"{question.text}\n{options}\nAnswer with the option's letter from the given choices directly."

    def verdict(self, question: Question, response: str, *, extracted: bool) -> RowVerdict:
        """The letter meant, or for open questions whether the gold is among what the response states."""
        if question.answer is None:
            raise DataError(f"the answer of {question.id} is withheld; only the authors' server can score it")
        gold = question.answer if isinstance(question.answer, tuple) else (str(question.answer),)
        if question.kind != CHOICE:
            return _open_verdict(gold, response)
        letter, why = (response.strip(), "given") if extracted else _chosen(question, response)
        if letter is None:
            return RowVerdict(extracted=None, score=None, why="no option is named: the official code draws one")
        return RowVerdict(extracted=letter, score=float(letter in gold), why=why)


def marked_images(row: PublishedRow, shown: str) -> tuple[ImageRef, ...]:
    """The images that a text marks, in the order of their numbers; all where it marks none."""
    found = {int(number) for number in MARK.findall(shown)}
    columns = [name for name in sorted(row.fields) if re.fullmatch(r"image_\d+", name)]
    return tuple(
        ref for name in columns if not found or int(name.removeprefix("image_")) in found for ref in row.images(name)
    )


def subject_labels(name: str, row: PublishedRow) -> dict[str, tuple[str, ...]]:
    """Subject and discipline by the question's id; difficulty and kinds of image where the file tells them.

    Raises:
        DatasetError: the id names no subject.
    """
    found = ID.fullmatch(name)
    subject = str(found["subject"]) if found else ""
    if subject not in DISCIPLINE_OF:
        raise wrong(row, "id", "an id such as validation_Accounting_1")
    labels: dict[str, tuple[str, ...]] = {"discipline": (DISCIPLINE_OF[subject],), "subject": (subject,)}
    if difficulty := text(row, "topic_difficulty"):
        labels["difficulty"] = (difficulty,)
    if kinds := texts(row, "img_type"):
        labels["image_type"] = kinds
    return labels


def _question(row: PublishedRow) -> Question:
    name = text(row, "id", row.key)
    kind = text(row, "question_type")
    given = row.fields.get("index2ans")
    options = tuple(map(str, given.values())) if isinstance(given, dict) else texts(row, "options")
    answer = row.fields.get("ground_truth", row.fields.get("answer"))
    if answer is None:
        raise wrong(row, "answer", "the gold answer")
    asked = text(row, "question")
    return Question(
        id=name,
        text=asked,
        options=options,
        answer=None if answer == WITHHELD else _gold(answer),
        kind=CHOICE if kind == CHOICE else "open",
        labels={**subject_labels(name, row), "question_type": (CHOICE if kind == CHOICE else "open",)},
        images=marked_images(row, asked + "".join(options)),
        extra={},
    )


def _gold(answer: object) -> str | tuple[str, ...]:
    """A text, or several of which any will do: a list, which the hub stores in Python's notation."""
    if isinstance(answer, str) and answer.startswith("[") and answer.endswith("]"):
        with contextlib.suppress(ValueError, SyntaxError):
            listed = ast.literal_eval(answer)
            answer = listed if all(isinstance(each, str) for each in listed) else answer
    return tuple(map(str, answer)) if isinstance(answer, list) else str(answer)


def _chosen(question: Question, response: str) -> tuple[str | None, str]:
    """The letter of the option that a response names, and by what."""
    given = letters(len(question.options) or MOST_OPTIONS)
    answer = padded(response)
    if letter := bracketed(answer, given):
        return letter, "a letter in brackets"
    if letter := spaced(answer, [letter for letter in given if f" {letter} " in answer]):
        return letter, "a letter by itself"
    if letter := quoted(answer, question.options):
        return letter, "the text of an option"
    if not question.options and len(answer.split()) > 5 and (begun := QUOTED.match(answer.lstrip())):
        return begun[1], "an option quoted at the start (the file does not tell the options)"
    return None, ""


def _open_verdict(gold: Sequence[str], response: str) -> RowVerdict:
    wanted = [meant for answer in gold for meant in normalised(answer)]
    found = stated(response)
    given = next((each for each in found if any(agrees(each, one) for one in wanted)), None)
    shown = str(found[0]) if given is None else str(given)
    return RowVerdict(
        extracted=shown,
        score=float(given is not None),
        why=f"{len(found)} statements against {wanted}",
    )
