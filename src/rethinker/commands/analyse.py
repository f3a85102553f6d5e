"""`rethinker analyse`: what a second thought is worth at test time, beside samples for the same tokens."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text

from rethinker.commands.data_files import check_writable, empty_table, write_json
from rethinker.errors import DatasetError
from rethinker.evaluation.analysis import BOUNDS, Analysis
from rethinker.evaluation.analysis import analyse as analysed
from rethinker.evaluation.analysis_report import COLUMNS, draw, figures, markdown, notes
from rethinker.evaluation.results import Result, read_results
from rethinker.runs.files import write_atomically


def analyse(
    base: Path,
    forced: Path,
    *,
    oracle: Path | None,
    trained: Path | None,
    samples: Path | None,
    to: Path,
    seed: int,
) -> None:
    """Analyse every benchmark that all results hold; print the tables, and write them with a picture.

    Raises:
        ConfigError: results that do not fit the place they are given for, or one another.
        DatasetError: a result cannot be read, or no benchmark or no question is common.
    """
    picture = to / "analysis.png"
    check_writable(picture)
    bases, others = (
        _read(base),
        [_read(forced), *(_read(path) if path else None for path in (oracle, trained, samples))],
    )
    common = [name for name in bases if all(of is None or name in of for of in others)]
    if not common:
        raise DatasetError(f"no benchmark is common to {base} and the other results; evaluate all on the same ones")
    found = []
    for name in common:
        forced_result, *rest = (of[name] if of is not None else None for of in others)
        assert forced_result is not None
        of_oracle, of_trained, of_samples = rest
        found.append(
            analysed(bases[name], forced_result, oracle=of_oracle, trained=of_trained, samples=of_samples, seed=seed)
        )
    page = markdown(found)
    write_json(to / "analysis.json", {"schema": 1, "benchmarks": [asdict(each) for each in found]})
    write_atomically(to / "analysis.md", page)
    draw(found, picture)
    console = Console(width=None if sys.stdout.isatty() else 140)
    for analysis in found:
        _show(console, analysis)
    console.print(f"wrote {to / 'analysis.json'}, .md and .png", highlight=False, soft_wrap=True)


def _show(console: Console, analysis: Analysis) -> None:
    about = "".join(f", {name} {value}" for name, value in analysis.conditions.items())
    console.print(Text.assemble((analysis.benchmark, "bold"), f"  {analysis.questions:,} questions{about}"))
    table = empty_table(*COLUMNS)
    for name, way in analysis.ways.items():
        table.add_row(*figures(name, way), style="dim" if name in BOUNDS else "")
    console.print(table)
    for note in notes(analysis):
        console.print(Text(note, style="yellow"))
    console.print()


def _read(path: Path) -> dict[str, Result]:
    return {result.benchmark: result for result in read_results(path)}
