"""`rethinker data check`: every row, before a run meets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from rethinker.commands.data_files import (
    check_writable,
    empty_table,
    files_of,
    named,
    opened,
    opened_table,
    threads,
    write_json,
    written,
)
from rethinker.commands.row_progress import RowProgress
from rethinker.data.checking import Finding, Reason, Report, check
from rethinker.data.rows import RowSource
from rethinker.data.tables import json_bytes
from rethinker.errors import ConfigError
from rethinker.rewards.pool import VerifierPool
from rethinker.types import Outline

SHOWN = 5
"""Bad rows printed."""

MEANINGS = {
    Reason.ROW: "a column is missing, empty or wrong, or an id repeats",
    Reason.MARKS: "<image> marks and images differ in number",
    Reason.IMAGE: "an image is missing, damaged or refused",
    Reason.ANSWER: "the stored answer is not verified as right",
    Reason.PROMPT: "the prompt is too long, or cannot be made",
}


def check_file(
    file: str,
    *,
    images: Path | None,
    columns: Sequence[str],
    model: str | None,
    max_tokens: int | None,
    settings: Sequence[str],
    to: Path | None,
    json_to: Path | None,
    workers: int | None,
) -> int:
    """Check a data file and say what was found; the exit code is 1 when no row is good.

    Raises:
        RethinkerError: the file or the model cannot be opened, or a result cannot be written.
    """
    if model is None and (max_tokens is not None or settings):
        raise ConfigError("--max-tokens and --config are about a model's prompts; name it with --model")
    check_writable(to, json_to, reads=files_of(file))
    if model is None:
        source = opened(file, images=images, columns=named(columns, file))
        length, limit = None, 0
    else:
        limits = [] if max_tokens is None else [f"prompt.max_tokens={max_tokens}"]
        source, length, limit = _under(model, [*settings, *limits], file, images, columns)
    unread = [name for name in opened_table(file).columns if name not in source.reads]
    with (
        VerifierPool(workers=1, timeout_seconds=5.0, memory_bytes=1_000_000_000) as scorer,
        RowProgress("checking rows", len(source)) as progress,
    ):
        report = check(
            source,
            workers=threads(workers),
            scorer=scorer,
            length=length,
            max_tokens=limit,
            advance=progress.advance,
        )
    if to is not None:
        _quarantine(report.findings, file, to)
    if json_to is not None:
        write_json(json_to, as_json(report, file, unread))
    _show(report, unread, to)
    return 0 if len(report.findings) < report.rows else 1


def as_json(report: Report, file: str, unread: Sequence[str]) -> dict[str, object]:
    """A report as JSON values, with every finding."""
    return {
        "file": file,
        "rows": report.rows,
        "good": report.rows - len(report.findings),
        "images": report.images,
        "columns_not_read": list(unread),
        "longest_prompt": report.longest_prompt,
        "reasons": {reason.value: count for reason, count in report.counts.items()},
        "findings": [finding.as_json() for finding in report.findings],
    }


def _under(
    model: str, settings: Sequence[str], file: str, images: Path | None, columns: Sequence[str]
) -> tuple[RowSource, Callable[[Outline], int], int]:
    """The rows, what measures their prompts under the model's own chat template, and the most tokens they may have."""
    from rethinker.commands.data_model import load_model, settings_for
    from rethinker.commands.data_section import opened_by

    config = settings_for(model, settings, [])
    source = opened_by(config.data, file, images=images, columns=columns)
    return source, partial(load_model(config).prompt_length, template=config.prompt.kind), config.prompt.max_tokens


def _quarantine(findings: Sequence[Finding], file: str, to: Path) -> None:
    with written(to) as out:
        for finding in findings:
            out.write(json_bytes({"file": file, **finding.as_json()}) + b"\n")


def _show(report: Report, unread: Sequence[str], to: Path | None) -> None:
    console = Console()
    table = empty_table("", "rows", "share")
    good = report.rows - len(report.findings)
    counted = [("good", good)] + [(MEANINGS[reason], count) for reason, count in report.counts.items() if count]
    for meaning, count in counted:
        table.add_row(meaning, f"{count:,}", f"{count / report.rows:.2%}")
    console.print(table)
    console.print(f"{report.images:,} images in the good rows", highlight=False)
    if unread:
        console.print(f"columns not read: {', '.join(unread)}", highlight=False, soft_wrap=True, markup=False)
    if report.longest_prompt:
        console.print(f"longest prompt {report.longest_prompt:,} tokens", highlight=False)
    for finding in report.findings[:SHOWN]:
        text = escape(f"{finding.where}: {finding.detail}")
        console.print(f"[red]{finding.reason}[/red]  {text}", highlight=False, soft_wrap=True)
    if len(report.findings) > SHOWN:
        console.print(f"and {len(report.findings) - SHOWN:,} more; --to FILE.jsonl lists all", highlight=False)
    if to is not None:
        console.print(f"wrote {len(report.findings):,} bad rows to {to}", highlight=False, soft_wrap=True, markup=False)
