"""`rethinker compare`: models side by side on the same questions, beside the paper's."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from rethinker.commands.data_files import check_writable, empty_table, write_json
from rethinker.evaluation import paper
from rethinker.evaluation.comparison import Compared, Comparison, Difference, by_benchmark
from rethinker.evaluation.comparison import compare as compared
from rethinker.evaluation.paired import FEW_FLIPS
from rethinker.evaluation.results import Result, read_results

NAMED = 5
"""Ids shown of questions left out; all are counted, and in the JSON."""

DIFFERENCE = ("difference", "95 %", "right → wrong", "wrong → right", "McNemar p")

PAPER_NOTE = (
    "In italics the paper's own numbers, by its uniform protocol on whole benchmarks (MMMU-Pro as one number, "
    "MEGA-Bench core): a difference to them is the harness's too."
)

FEW_NOTE = f"A difference with fewer than {FEW_FLIPS} flips has a score interval (Tango) in place of the bootstrap's."


def compare(paths: Sequence[Path], *, breakdown: str | None, flips: bool, json_to: Path | None, seed: int) -> None:
    """Compare results with the first, print the tables, and write all that was found.

    Raises:
        ConfigError: results that were scored differently, or one given twice.
        DatasetError: a result cannot be read, or no question is common.
    """
    check_writable(json_to, reads=paths)
    together = by_benchmark(_named_apart([result for path in paths for result in read_results(path)]))
    found = [compared(results, seed=seed, breakdown=breakdown) for results in together.values()]
    console = Console(width=None if sys.stdout.isatty() else 120)
    _show_overview(console, found)
    for comparison in found:
        _show(console, comparison, flips=flips)
    if json_to is not None:
        write_json(json_to, {"schema": 1, "benchmarks": [asdict(each) for each in found], "paper": paper.MODELS})


def _named_apart(results: Sequence[Result]) -> list[Result]:
    """Results of one benchmark and name are named by their paths."""
    names = Counter((result.benchmark, result.name) for result in results)
    alike = {name for (_, name), count in names.items() if count > 1}
    return [replace(result, name=str(result.path)) if result.name in alike else result for result in results]


def _show_overview(console: Console, found: Sequence[Comparison]) -> None:
    """Models and benchmarks; below them the paper's."""
    table = empty_table("%", *(each.benchmark for each in found))
    names = dict.fromkeys(model.name for each in found for model in each.models)
    for name in names:
        of = [{model.name: model.accuracy for model in each.models}.get(name) for each in found]
        table.add_row(Text(name), *("" if value is None else f"{100 * value:.1f}" for value in of))
    benchmarks = [each.benchmark.split(" ")[0] for each in found]
    if any(name in paper.MODELS["VL-Rethinker-7B"] for name in benchmarks):
        table.add_section()
        for name, accuracies in paper.MODELS.items():
            cells = [f"{accuracies[each]:.1f}" if each in accuracies else "" for each in benchmarks]
            table.add_row(Text(name), *cells, style="italic")
    console.print(table)
    if table.row_count > len(names):
        console.print(PAPER_NOTE, highlight=False)


def _show(console: Console, comparison: Comparison, *, flips: bool) -> None:
    """One benchmark: accuracies, differences, what was left out, and what flipped."""
    about = "".join(f", {name} {value}" for name, value in comparison.conditions.items())
    console.print()
    console.print(
        Text.assemble((comparison.benchmark, "bold"), f"  {comparison.questions:,} questions{about}"), highlight=False
    )
    table = empty_table("", "accuracy", "95 %", *DIFFERENCE)
    table.columns[0].overflow = "fold"
    for model in comparison.models:
        low, high = model.interval
        interval = f"{low:.1%} – {high:.1%}"
        table.add_row(Text(model.name), f"{model.accuracy:.2%}", interval, *_difference(model.difference))
    console.print(table)
    _show_cells(console, comparison)
    for name, values in comparison.differing.items():
        console.print(Text(f"{name} differs: {', '.join(values)}", style="yellow"))
    if any(model.difference and model.difference.by_score for model in comparison.models):
        console.print(FEW_NOTE, highlight=False)
    for model in comparison.models:
        _show_left_out(console, model)
        if flips and model.difference and model.difference.flips:
            for way, ids in asdict(model.difference.flips).items():
                console.print(Text(f"{model.name}  {way.replace('_', ' ')}: {', '.join(ids) or 'none'}"))


def _show_cells(console: Console, comparison: Comparison) -> None:
    """The breakdown asked for, a cell after the other."""
    cells = comparison.models[0].cells
    if not cells:
        return
    console.print()
    table = empty_table("cell", "questions", "model", "accuracy", *DIFFERENCE)
    table.columns[2].justify, table.columns[2].overflow = "left", "fold"
    for cell in cells:
        table.add_section()
        for place, model in enumerate(comparison.models):
            questions, accuracy, difference = model.cells[cell]
            head = ("", "") if place else (cell, f"{questions:,}")
            table.add_row(*map(Text, (*head, model.name)), f"{accuracy:.2%}", *_difference(difference))
    console.print(table)


def _difference(difference: Difference | None) -> list[str]:
    if difference is None:
        return []
    low, high = difference.interval
    shown = [f"{100 * difference.mean:+.2f}", f"{100 * low:+.1f} – {100 * high:+.1f}"]
    if difference.flips is None:
        return shown
    lost, won = difference.flips.right_to_wrong, difference.flips.wrong_to_right
    return [*shown, f"{len(lost):,}", f"{len(won):,}", f"{difference.flips.p:.3g}"]


def _show_left_out(console: Console, model: Compared) -> None:
    if model.left_out:
        more = ", …" if len(model.left_out) > NAMED else ""
        ids = ", ".join(model.left_out[:NAMED])
        text = f"{model.name}: {len(model.left_out):,} questions left out that not all have: {ids}{more}"
        console.print(Text(text, style="yellow"))
