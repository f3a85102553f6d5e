"""How a benchmark's question is put to a model: the prompt of its protocol, images in the places of their marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rethinker.data.marks import MARK, place_images
from rethinker.errors import ConfigError, DataError, MarksError
from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.benchmarks.megabench import RUN_CODE
from rethinker.evaluation.image_refs import ImageRef
from rethinker.types import IMAGE_MARK, Problem

_UNDERLINED = re.compile(r"<image_(\d+)>")
"""EMMA's marks."""

VIDEO_MARK = "<video>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """Some questions of one benchmark, and how they are put and scored.

    Attributes:
        style: Which of the benchmark's prompts.
    """

    rule: Rule
    style: str
    questions: Sequence[Question]

    @property
    def name(self) -> str:
        """The benchmark, and its setting where one was chosen; answers do not depend on whether programs are run."""
        setting = ",".join(word for word in self.rule.setting.split(",") if word != RUN_CODE)
        return f"{self.rule.name}-{setting}" if setting else self.rule.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as it is put, its images not decoded yet.

    Attributes:
        id: Of the question among those of all benchmarks; keys every draw.
        text: With one `<image>` per image, in order.
    """

    id: str
    question: Question
    text: str
    images: tuple[ImageRef, ...]

    def problem(self) -> Problem:
        """What a model encodes; the gold stays behind.

        Raises:
            DataError: an image cannot be used, or marks and images do not fit together.
        """
        if VIDEO_MARK in self.text:
            raise DataError(f"question {self.question.id} shows a video, and only pictures can be shown")
        images = tuple(ref.decode() for ref in self.images)
        return Problem(id=self.id, images=images, question=self.text, answer="scored by its rule", verifier="text")


def asked(exam: Exam) -> list[Asked]:
    """All questions of an exam as they are put."""
    benchmark = exam.rule.benchmark()
    found = []
    for question in exam.questions:
        text, images = benchmark.prompt(question, exam.style), question.images
        if exam.rule.protocol == "boxed":
            text = IMAGE_MARK * len(images) + text
        else:
            text, images = _placed(text, images)
        found.append(Asked(id=f"{exam.name}/{question.id}", question=question, text=text, images=images))
    return found


def style_of(rule: Rule, style: str) -> str:
    """The prompt that is named, the benchmark's first where none is.

    Raises:
        ConfigError: it has no such prompt, or none in this protocol.
    """
    styles = rule.benchmark().styles
    if rule.name == "megabench" and rule.protocol == "boxed":
        raise ConfigError("megabench has no boxed protocol: its answers have fields; use --protocol official")
    if style and style not in styles:
        raise ConfigError(
            f"{rule.name} has no prompt {style!r} in the {rule.protocol} protocol; its: {', '.join(styles)}"
        )
    return style or styles[0]


def _placed(text: str, images: tuple[ImageRef, ...]) -> tuple[str, tuple[ImageRef, ...]]:
    """Images in the places of their marks; before a text whose marks do not tell them apart.

    So stands MATH-Vision's one picture that shows all that its marks name, and they remain as words.
    """
    marked = _UNDERLINED.sub(r"<image \1>", text)
    try:
        return place_images(marked, images, column="question")
    except MarksError:
        merged = len(images) == 1 and len(set(MARK.findall(marked))) > 1 and IMAGE_MARK not in marked
        return (IMAGE_MARK + text if merged else text), images
