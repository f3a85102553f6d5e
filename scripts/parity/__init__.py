"""Real predictions with the official scorers' verdicts, and how ours compare; shared by the tests and the page.

A benchmark is one module with `given() -> list[GivenFile]`, named in `catalogue.py`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.scoring import RowScorer, score_rows
from rethinker.evaluation.verdicts import Scored

ASSETS = Path(__file__).parents[3] / "shared" / "assets"

OVERALL = ("", "")
"""The (breakdown, cell) of all rows."""

Cells = dict[tuple[str, str], tuple[int, int]]
"""(breakdown, cell) → rows correct, rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The official scorer's verdict on one row.

    Attributes:
        correct: None where it draws the answer at random.
        extracted: The answer it found; `...` where the file does not say.
    """

    correct: bool | None
    extracted: Any = ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFile:
    """One file of predictions.

    Attributes:
        name: Of the model and its prompt.
        rule: What scores it.
        problems: The benchmark's file.
        responses: Reads its responses by id.
        verdicts: Reads the official verdicts by id.
        published: Reads the cells that its authors published; None where there are none.
        departures: Rows whose published verdict is not the official code's: id → (published verdict, reason).
    """

    name: str
    rule: Rule
    problems: Path
    responses: Callable[[], dict[str, str]]
    verdicts: Callable[[], dict[str, Given]]
    published: Callable[[], Cells] | None = None
    departures: Mapping[str, tuple[bool, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Ours beside theirs.

    Attributes:
        rows: Rows compared.
        correct: Those ours calls correct.
        differing: Ids of rows whose verdict, or extracted answer where it is given, is another.
        cells: Breakdown cells, all rows among them.
        differing_cells: Those whose counts from our verdicts are not those from the official ones.
        published: Correct rows as published; None where nothing was.
        published_cells: Published cells.
        differing_published: Those that our counts, with the departures put in, do not equal.
    """

    rows: int
    correct: int
    differing: tuple[str, ...]
    cells: int
    differing_cells: tuple[str, ...]
    published: int | None
    published_cells: int
    differing_published: tuple[str, ...]


def compare(file: GivenFile, scorer: RowScorer) -> Comparison:
    """Score a file by its rule's scorer and compare every row and every cell."""
    questions = file.rule.benchmark().read(file.problems)
    scored = score_rows(scorer, questions, file.responses())
    official = file.verdicts()
    ours = {question.id: bool(row.verdict.correct) for question, row in scored}
    theirs = {name: bool(given.correct) for name, given in official.items()}
    asked = [question for question, _ in scored]
    our_cells, their_cells = cells(asked, ours), cells(asked, theirs)
    published = file.published() if file.published else {}
    adjusted = cells(asked, {**ours, **{name: flag for name, (flag, _) in file.departures.items()}})
    return Comparison(
        rows=len(scored),
        correct=sum(ours.values()),
        differing=tuple(question.id for question, row in scored if not _same(row, official[question.id])),
        cells=len(our_cells),
        differing_cells=tuple("/".join(cell) for cell in our_cells if our_cells[cell] != their_cells[cell]),
        published=published[OVERALL][0] if OVERALL in published else None,
        published_cells=len(published),
        differing_published=tuple("/".join(cell) for cell in published if published[cell] != adjusted.get(cell)),
    )


def cells(questions: list[Question], correct: Mapping[str, bool]) -> Cells:
    """Count every breakdown cell."""
    counted: Cells = {}
    for question in questions:
        names = [(breakdown, name) for breakdown, some in question.labels.items() for name in some]
        for cell in (OVERALL, *names):
            right, rows = counted.get(cell, (0, 0))
            counted[cell] = right + correct[question.id], rows + 1
    return counted


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a gzipped file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _same(row: Scored, given: Given) -> bool:
    if row.verdict.correct is not given.correct:
        return False
    return given.extracted is ... or (row.verdict.extracted or "") == (given.extracted or "")
