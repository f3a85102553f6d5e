"""`rethinker data stats`: what a data set holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from rethinker.commands.data_files import (
    check_writable,
    empty_table,
    files_of,
    named,
    opened,
    opened_table,
    threads,
    write_json,
)
from rethinker.commands.row_progress import RowProgress
from rethinker.data.statistics import QUANTILES, Statistics, describe

MOST = 20
"""Values of one kind shown; `--json` has them all."""


def describe_file(
    file: str, *, images: Path | None, columns: Sequence[str], json_to: Path | None, workers: int | None
) -> None:
    """Print the figures of a data file.

    Raises:
        DatasetError: the file cannot be read, or the result not written.
    """
    check_writable(json_to, reads=files_of(file))
    source, table = opened(file, images=images, columns=named(columns, file)), opened_table(file)
    with RowProgress("reading rows", len(source)) as progress:
        found = describe(source, table, workers=threads(workers), advance=progress.advance)
    show(found)
    if json_to is not None:
        write_json(json_to, {"file": file, **asdict(found)})


def show(found: Statistics) -> None:
    """Print the figures as tables."""
    console = Console()
    unreadable = f", {found.unreadable:,} unusable (`rethinker data check` says why)" if found.unreadable else ""
    console.print(f"{found.rows:,} rows{unreadable}", highlight=False)
    for name, counts in (
        ("category", found.categories),
        ("source", found.sources),
        ("kind of answer", found.answer_kinds),
        ("images in a row", found.images_per_row),
        *((f"pass rate, {column}", counts) for column, counts in found.pass_rates.items()),
    ):
        _show_counts(console, name, counts)
    table = empty_table("", *QUANTILES)
    for name, values in found.quantiles.items():
        if values:
            table.add_row(name, *(f"{values[quantile]:,.0f}" for quantile in QUANTILES))
    console.print()
    console.print(table)


def _show_counts(console: Console, name: str, counts: Mapping[str, int]) -> None:
    total = sum(counts.values()) or 1
    most = max(counts.values(), default=0) or 1
    table = empty_table(name, "rows", "share", "")
    table.columns[-1].justify = "left"
    for value, count in list(counts.items())[:MOST]:
        table.add_row(value or "(none)", f"{count:,}", f"{count / total:.1%}", "█" * round(24 * count / most))
    console.print()
    console.print(table)
    if len(counts) > MOST:
        console.print(f"and {len(counts) - MOST} more", highlight=False)
