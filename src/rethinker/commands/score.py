"""`rethinker score`: predictions of any model, scored as a benchmark's authors score them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rethinker.commands.data_files import check_writable, empty_table, threads, write_json, written
from rethinker.commands.row_progress import RowProgress
from rethinker.data.tables import json_bytes
from rethinker.errors import DatasetError
from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.judge import Judge
from rethinker.evaluation.judged import judged_rows, scoring_of
from rethinker.evaluation.predictions import Predictions, read_predictions
from rethinker.evaluation.score_report import report, verdict_line
from rethinker.evaluation.scoring import Cell, RowScorer, Score, not_scored, score_rows, summed_up, unjudged
from rethinker.evaluation.verdicts import WITHOUT_VERDICT, RowOutcome, Scored

INCOMPLETE = 3
"""Exit status when a prediction is missing, unknown, duplicate or malformed."""

SHOWN_FAULTS = 3
MOST_CELLS = 20
"""Cells of one breakdown shown; `--json` has them all."""


def score(
    rule: Rule,
    predictions: Path,
    problems: Path,
    *,
    json_to: Path | None,
    verdicts_to: Path | None,
    allow_partial: bool,
    workers: int | None,
    judge: Judge | None = None,
) -> int:
    """Score a file of predictions, print the table and write the results; return the exit status.

    Raises:
        RethinkerError: a file cannot be read or written, or the scorer environment is missing.
        ConfigError: there is no such benchmark or setting.
    """
    check_writable(json_to, verdicts_to, reads=[predictions])
    benchmark = rule.benchmark()
    questions = benchmark.read(problems)
    read = read_predictions(predictions, questions)
    with RowProgress("scoring", len(read.responses)) as progress:
        rows = _scored(rule, questions, read, judge, workers=threads(workers), advance=progress.advance)
    found = summed_up(benchmark, rows)
    show(rule, found, read, questions=len(questions), judge=judge)
    show_left_out(not_scored(rows))
    show_unjudged(without := unjudged(rows))
    if json_to is not None:
        write_json(json_to, report(rule, found, read, rows=rows, questions=len(questions), judge=judge))
    if verdicts_to is not None:
        write_verdicts(verdicts_to, rows)
    return 0 if found.overall and (allow_partial or (read.whole and not without)) else INCOMPLETE


def _scored(
    rule: Rule,
    questions: Sequence[Question],
    read: Predictions,
    judge: Judge | None,
    *,
    workers: int,
    advance: Callable[[], object] = lambda: None,
) -> list[tuple[Question, Scored]]:
    """Score what has a response, by the judge where there is one.

    Raises:
        DatasetError: the authors withhold the answers.
    """
    withheld = [question.id for question in questions if question.answer is None and question.id in read.responses]
    if withheld:
        raise DatasetError(f"the authors withhold the answers of {len(withheld):,} questions, such as {withheld[0]}")
    if judge is None:
        with RowScorer(rule, workers=workers) as scorer:
            return score_rows(scorer, questions, read.responses, advance=advance)
    return judged_rows(rule.benchmark(), questions, read.responses, judge, extracted=rule.extracted, advance=advance)


def explain(rule: Rule, predictions: Path, problems: Path, id: str, judge: Judge | None = None) -> int:  # noqa: A002
    """Say of one prediction what was found in it and which part of the rule decided.

    Raises:
        DatasetError: there is no such question, or no prediction for it.
    """
    benchmark = rule.benchmark()
    questions = [question for question in benchmark.read(problems) if question.id == id]
    if not questions:
        raise DatasetError(f"{problems} has no question {id!r}")
    read = read_predictions(predictions, questions)
    responses = read.responses
    if not responses:
        raise DatasetError(f"{predictions} has no prediction for {id!r}")
    [(question, scored)] = _scored(rule, questions, read, judge, workers=1)
    verdict = scored.verdict
    table = empty_table("", "")
    table.show_header = False
    table.columns[-1].justify = "left"
    for name, text in (
        ("question", question.text),
        *((chr(ord("A") + place), option) for place, option in enumerate(question.options)),
        ("gold", str(question.answer)),
        ("response", responses[id]),
        ("extracted", "nothing" if verdict.extracted is None else verdict.extracted),
        ("outcome", scored.outcome.value),
        ("why", verdict.why),
    ):
        table.add_row(name, Text(_shortened(text)))
    Console().print(table)
    return 0


def show(rule: Rule, found: Score, read: Predictions, *, questions: int, judge: Judge | None = None) -> None:
    """Print accuracy, breakdowns, and what was not scored."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    setting = f" {rule.setting}" if rule.setting else ""
    scoring = "" if rule.protocol == "boxed" else f", {scoring_of(rule.benchmark(), judge, extracted=rule.extracted)}"
    title = f"[bold]{escape(rule.name + setting)}[/bold]  {rule.protocol} protocol{scoring}"
    console.print(title, highlight=False)
    if found.overall is None:
        console.print("no question has a prediction", style="red", highlight=False)
    else:
        table = empty_table("", "accuracy", "correct", "of", "95 %")
        _add(table, "all", found.overall, style="bold")
        for breakdown, cells in found.breakdowns.items():
            if len(cells) <= MOST_CELLS:
                table.add_section()
                for name, cell in cells.items():
                    _add(table, f"{breakdown}: {name}", cell)
        console.print(table)
    _show_outcomes(console, found)
    for fault, rows in read.faults.items():
        for row in rows[:SHOWN_FAULTS]:
            console.print(f"[yellow]{fault}[/yellow]  {_where(row.line)}{escape(row.what)}", highlight=False)
        if len(rows) > SHOWN_FAULTS:
            console.print(f"[yellow]{fault}[/yellow]  {len(rows) - SHOWN_FAULTS:,} more", highlight=False)
    if judge is not None:
        counts = "  ".join(f"{name} {count:,}" for name, count in asdict(judge.counts).items())
        console.print(f"judge {escape(judge.model)} at {escape(judge.url)}: {counts}", highlight=False)
    if len(read.responses) < questions:
        console.print(f"[yellow]{len(read.responses):,} of {questions:,} questions scored[/yellow]", highlight=False)


def show_left_out(reasons: Mapping[str, Mapping[str, int]]) -> None:
    """Print what could not be scored, by reason, with the names of the tasks."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    for why, tasks in reasons.items():
        counts = f"{sum(tasks.values()):,} rows of {len(tasks):,} tasks not scored"
        console.print(f"[yellow]{counts}[/yellow]  {escape(why)}: {escape(', '.join(tasks))}", highlight=False)


def show_unjudged(rows: Sequence[str]) -> None:
    """Print the first rows that the judge left without a verdict, and how many there are."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    for row in rows[:SHOWN_FAULTS]:
        console.print(f"[yellow]unjudged[/yellow]  {escape(row)}", highlight=False)
    if len(rows) > SHOWN_FAULTS:
        console.print(f"[yellow]unjudged[/yellow]  {len(rows) - SHOWN_FAULTS:,} more", highlight=False)


def write_verdicts(path: Path, rows: Sequence[tuple[Question, Scored]]) -> None:
    """Write one line per row that has a verdict, in the questions' order.

    Raises:
        DatasetError: it cannot be written.
    """
    with written(path) as file:
        for question, scored in rows:
            if scored.outcome not in WITHOUT_VERDICT:
                file.write(json_bytes(verdict_line(question, scored)) + b"\n")


def _add(table: Table, name: str, cell: Cell, *, style: str = "") -> None:
    low, high = cell.interval
    figures = (f"{cell.accuracy:.2%}", f"{cell.correct:,}", f"{cell.predicted:,}", f"{low:.1%} – {high:.1%}")
    table.add_row(Text(name), *figures, style=style)


def _show_outcomes(console: Console, found: Score) -> None:
    apart = {outcome: found.outcomes[outcome] for outcome in RowOutcome if found.outcomes[outcome]}
    console.print("  ".join(f"{outcome} {count:,}" for outcome, count in apart.items()), highlight=False)
    if found.outcomes[RowOutcome.RANDOM] and found.fallback:
        low, high = found.fallback
        console.print(
            f"{found.outcomes[RowOutcome.RANDOM]:,} answers are drawn at random by the official code: counted wrong "
            f"here, {low:.2%} to {high:.2%} there",
            highlight=False,
        )


def _where(line: int | None) -> str:
    return "" if line is None else f"line {line}: "


def _shortened(text: str, most: int = 2000) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"
