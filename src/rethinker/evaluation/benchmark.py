"""What a benchmark is: questions as its authors publish them, their prompt, and their rule for one response.

How verdicts become accuracies is the same for all of them and lies in `scoring.py`. Torch-free: rules run in workers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rethinker.evaluation.image_refs import ImageRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One row of a benchmark.

    Attributes:
        id: As published; unique within the benchmark's file.
        text: The question, image marks as published.
        options: Texts of the options in order A, B, …; empty unless it is multiple choice.
        answer: Gold as published: a text, a tuple of texts, or a mapping of fields; None where it is withheld.
        kind: The official question type.
        labels: Breakdown → cells that this row counts in ({"subject": ("algebra",), "level": ("3",)}).
        images: Where its images are; empty where the file is for scoring alone.
        extra: Published columns that only this benchmark's rule or prompt needs.
    """

    id: str
    text: str
    options: tuple[str, ...]
    answer: object
    kind: str
    labels: Mapping[str, tuple[str, ...]]
    images: tuple[ImageRef, ...]
    extra: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVerdict:
    """What a rule says of one response.

    Attributes:
        extracted: The answer found in it, None where there is none.
        score: In [0, 1]; None where the official code draws an answer at random.
        why: Which part of the rule decided, for people.
    """

    extracted: str | None
    score: float | None
    why: str

    @property
    def correct(self) -> bool | None:
        """Whether the score is full; None where it is drawn at random."""
        return None if self.score is None else self.score == 1


class NotScoredError(Exception):
    """The rule cannot score this question here: it needs a judge, or what was not asked for or is missing."""


class Benchmark(ABC):
    """One benchmark with its settings; instances are small, hold no questions, and are sent to workers.

    Attributes:
        name: On the command line.
        scoring_name: What a table calls the scoring ("rules", "rules, without the judge").
        scorer: Folder under `.venv/scorers` whose packages the rule imports; empty when it needs none.
        styles: Prompts that the authors have ("cot", "direct"), their default first.
    """

    name: str
    scoring_name: str = "rules"
    scorer: str = ""
    styles: tuple[str, ...]

    @abstractmethod
    def read(self, path: Path) -> list[Question]:
        """All questions of an official file, or of the hub's parquet (a file or a folder of shards).

        Raises:
            DatasetError: it cannot be read, is another benchmark's, or lacks a column.
        """

    @abstractmethod
    def prompt(self, question: Question, style: str) -> str:
        """The official prompt, byte for byte, with the image marks as published."""

    @abstractmethod
    def verdict(self, question: Question, response: str, *, extracted: bool) -> RowVerdict:
        """Score one response by the official deterministic rule.

        Args:
            extracted: The response is an answer already; take it as it is and only compare.

        Raises:
            NotScoredError: the question counts in no cell, and is named with the reason.
        """

    def mean(self, rows: Sequence[tuple[Question, float]]) -> float:
        """The score of all rows, or of those of one breakdown cell; never empty. Here every row counts the same."""
        return math.fsum(score for _, score in rows) / len(rows)

    def prepare(self) -> None:  # noqa: B027 (most rules import nothing)
        """Import what `verdict` needs, once per worker, before its clock runs."""
