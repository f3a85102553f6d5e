"""`rethinker data select`: the rows to train on, in a file of the same format with all their columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from rethinker.commands.data_files import (
    check_copy,
    check_writable,
    empty_table,
    named,
    opened,
    opened_table,
    write_json,
    written,
)
from rethinker.data.columns import Columns
from rethinker.data.rows import RowSource
from rethinker.data.selection import Mask, among, between, drawn, in_subset, narrow, without
from rethinker.data.tables import Table
from rethinker.data.virl import SUBSETS
from rethinker.errors import ConfigError, DataError, DatasetError

TRIED = 20
"""Rows whose images are looked for beside the new file."""


def select_rows(
    file: str,
    *,
    to: Path,
    images: Path | None,
    columns: Sequence[str],
    subset: str | None,
    pass_rate: tuple[str, float, float] | None,
    category: Sequence[str],
    source: Sequence[str],
    drop_overlap: Path | None,
    limit: int | None,
    seed: int,
    json_to: Path | None,
) -> None:
    """Write the rows that meet every condition, and say how many each one left.

    Raises:
        DatasetError: a file cannot be read or written, a column or value does not exist, or no row is left.
    """
    table = opened_table(file)
    check_copy(table, to)
    check_writable(json_to, reads=(*table.files, *([drop_overlap] if drop_overlap is not None else []), to))
    reads = named(columns, file)
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit={limit} leaves no row; give 1 or more")
    conditions: dict[str, Mask] = {}
    if subset is not None:
        chosen = SUBSETS[subset]
        conditions[f"{subset} ({chosen.rule}; paper: {chosen.paper})"] = in_subset(table, chosen)
    if pass_rate is not None:
        column, low, high = pass_rate
        conditions[f"{low:g} ≤ {column} ≤ {high:g}"] = between(table, column, low, high)
    for name, wanted in ((reads.category[0], category), (reads.source[0], source)):
        if wanted:
            conditions[f"{name} {' or '.join(wanted)}"] = among(table, name, wanted)
    if drop_overlap is not None:
        conditions[f"not in {drop_overlap.name}"] = without(len(table), overlapping_rows(drop_overlap, table))
    found = narrow(len(table), conditions)
    rows, left = found.rows, dict(found.left)
    if limit is not None:
        rows = drawn(rows, limit, seed=seed)
        left[f"at most {limit:,} drawn with seed {seed}"] = len(rows)
    _show(len(table), left)
    if not rows:
        raise DatasetError("no row is left, and nothing was written; loosen a condition")
    with written(to) as out:
        table.write(out, rows)
    console = Console()
    console.print(f"wrote {len(rows):,} rows to {to}", highlight=False, soft_wrap=True, markup=False)
    console.print(_about_images(table, to, images, reads), highlight=False, soft_wrap=True, markup=False)
    if json_to is not None:
        write_json(json_to, {"file": file, "rows": len(table), "left": left, "kept": list(rows)})


def overlapping_rows(path: Path, table: Table) -> list[int]:
    """The rows that `rethinker data overlap` found.

    Raises:
        DatasetError: the file is not its result, or was made for other rows.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        made_for, rows = found["sha256"], sorted({overlap["row"] for overlap in found["overlaps"]})
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is no result of `rethinker data overlap`: {error!r}") from error
    if made_for != table.digest():
        raise DatasetError(
            f"{path} was made for another content of {found['file']}, so its row numbers mean other rows in "
            f"{table.path}; run `rethinker data overlap {table.path} --with …` again"
        )
    return rows


def _about_images(table: Table, to: Path, images: Path | None, reads: Columns) -> str:
    """How image paths in the new file resolve: they are copied as they stand, so they mean what they meant there."""
    folder = images or table.files[0].parent
    if table.suffix == ".json":
        return f"LogicVista's images lie in images/ beside its file: keep the new one in {folder}"
    try:
        source = opened(str(to), columns=reads)
    except DatasetError:  # its columns are named otherwise, which this command need not know
        return f"image paths are copied as they stand, relative to {folder}"
    tried = [index for index in range(len(source)) if _names_images(source, index)][:TRIED]
    if not tried:
        return "no row names an image"
    if any(_images_open(source, index) for index in tried):
        return "images are found where the new file lies"
    return f"image paths stay relative to {folder}: give --images {folder} to these commands, data.images in a recipe"


def _names_images(source: RowSource, index: int) -> bool:
    try:
        return bool(source.row(index).images)
    except DataError:
        return False


def _images_open(source: RowSource, index: int) -> bool:
    try:
        source.outline(index)
    except DataError:
        return False
    return True


def _show(rows: int, left: dict[str, int]) -> None:
    table = empty_table("condition", "rows left", "dropped")
    table.add_row("all rows", f"{rows:,}", "")
    before = rows
    for label, count in left.items():
        table.add_row(label, f"{count:,}", f"{before - count:,}")
        before = count
    Console().print(table)
