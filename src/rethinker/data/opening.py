"""A data file to a source of problems, its kind inferred from the file; what the `rethinker data` commands start from.

A run does not guess: its configuration names the kind (`data.kind`).
"""

from __future__ import annotations

from pathlib import Path

from rethinker.data.columns import USUAL, Columns
from rethinker.data.jsonl import JsonlSource
from rethinker.data.logicvista import LogicVistaSource
from rethinker.data.parquet import ParquetSource, shards
from rethinker.data.rows import RowSource
from rethinker.errors import DatasetError


def open_source(
    path: str | Path, *, images: Path | None = None, max_pixels: int = 50_000_000, columns: Columns = USUAL
) -> RowSource:
    """Open a data file, or a folder of parquet shards.

    Args:
        path: A `.jsonl` file, a `.parquet` file or folder of them, or LogicVista's `dataset.json`.
        images: Folder that image paths are relative to; None means the file's own.
        max_pixels: Largest image area.
        columns: Where a row holds what; LogicVista's are fixed.

    Raises:
        DatasetError: the file is missing or unusable, or its kind is not known.
    """
    path = Path(path)
    if path.suffix == ".jsonl":
        return JsonlSource(path, images=images, max_pixels=max_pixels, columns=columns)
    if path.suffix == ".json":
        return LogicVistaSource(path, max_pixels=max_pixels)
    if path.suffix == ".parquet" or path.is_dir():
        return ParquetSource(shards(path), images=images, max_pixels=max_pixels, columns=columns)
    raise DatasetError(f"{path} is no data file: expected .jsonl, .parquet, or LogicVista's dataset.json")
