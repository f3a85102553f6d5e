"""`rethinker data overlap`: rows that stand in an evaluation set too."""

from __future__ import annotations

from collections.abc import Sequence
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
from rethinker.data.columns import QUESTIONS
from rethinker.data.overlap import DISTANCE, Fingerprints, Kind, Overlap, dropped, fingerprints, overlaps
from rethinker.data.rows import RowSource
from rethinker.errors import ConfigError, DatasetError

KINDS = {
    Kind.SAME_IMAGE: "the same picture",
    Kind.NEAR_IMAGE: "a picture that looks the same",
    Kind.QUESTION: "the same question",
}


def find_overlap(
    file: str,
    benchmarks: Sequence[str],
    *,
    to: Path,
    images: Path | None,
    columns: Sequence[str],
    with_columns: Sequence[str],
    distance: int,
    workers: int | None,
) -> None:
    """Compare a data file with evaluation sets, whose images lie beside them, and write what they share.

    Raises:
        DatasetError: a file cannot be read, none of its rows can be compared, or the result cannot be written.
    """
    if not 0 <= distance < 32:
        raise ConfigError(
            f"--distance={distance}: half of 64 bits differ by chance; give 0 to 31 ({DISTANCE} by default)"
        )
    check_writable(to, reads=files_of(file, *benchmarks))
    table, source = opened_table(file), opened(file, images=images, columns=named(columns, file, usual=QUESTIONS))
    others = {
        benchmark: opened(benchmark, columns=named(with_columns, benchmark, usual=QUESTIONS))
        for benchmark in benchmarks
    }
    ours = _fingerprints(file, source, workers)
    found: list[tuple[str, Overlap]] = []
    unreadable: dict[str, int] = {file: len(ours.unreadable)}
    for benchmark, other in others.items():
        theirs = _fingerprints(benchmark, other, workers)
        unreadable[benchmark] = len(theirs.unreadable)
        found += [(benchmark, overlap) for overlap in overlaps(ours, theirs, distance=distance)]
    write_json(
        to,
        {
            "file": file,
            "sha256": table.digest(),
            "rows": len(source),
            "distance": distance,
            "unreadable": unreadable,
            "overlaps": [_as_json(overlap, source, benchmark, others[benchmark]) for benchmark, overlap in found],
        },
    )
    _show(found, benchmarks, len(source), unreadable)
    Console().print(
        f"wrote {to}; `rethinker data select {file} --drop-overlap {to} --to …` drops these rows",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _fingerprints(file: str, source: RowSource, workers: int | None) -> Fingerprints:
    with RowProgress(f"reading {Path(file).name}", len(source)) as progress:
        found = fingerprints(source, workers=threads(workers), advance=progress.advance)
    if len(found.unreadable) == found.rows:
        raise DatasetError(f"no row of {file} can be compared; the first: {found.unreadable[0]}")
    return found


def _as_json(overlap: Overlap, source: RowSource, benchmark: str, other: RowSource) -> dict[str, str | int]:
    return {
        "row": overlap.row,
        "id": source.id(overlap.row),
        "kind": overlap.kind.value,
        "bits": overlap.bits,
        "with": benchmark,
        "other_row": overlap.other,
        "other_id": other.id(overlap.other),
    }


def _show(
    found: Sequence[tuple[str, Overlap]], benchmarks: Sequence[str], rows: int, unreadable: dict[str, int]
) -> None:
    console = Console()
    table = empty_table("shared with", *KINDS.values(), "rows in all")
    for benchmark in benchmarks:
        these = [overlap for name, overlap in found if name == benchmark]
        counts = [sum(overlap.kind is kind for overlap in these) for kind in KINDS]
        table.add_row(Path(benchmark).name, *(f"{count:,}" for count in counts), f"{len(dropped(these)):,}")
    console.print(table)
    overlapping = len(dropped([overlap for _, overlap in found]))
    console.print(f"{overlapping:,} of {rows:,} rows overlap ({overlapping / rows:.2%})", highlight=False)
    for name, count in unreadable.items():
        if count:
            console.print(
                f"{count:,} rows of {name} could not be read, and were not compared", highlight=False, markup=False
            )
