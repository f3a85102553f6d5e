"""What the `rethinker data` commands share: opening the file they are given, and writing the one they are asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

from rich import box
from rich.table import Table as Shown

from rethinker.cores import usable_cores
from rethinker.data.columns import USUAL, Columns
from rethinker.data.opening import open_source
from rethinker.data.parquet import shards
from rethinker.data.rows import RowSource
from rethinker.data.tables import Table, json_bytes, open_table
from rethinker.errors import ConfigError, DatasetError
from rethinker.runs.files import atomic_file


def opened(
    file: str, *, images: Path | None = None, columns: Columns = USUAL, max_pixels: int = 50_000_000
) -> RowSource:
    """The problems of a data file.

    Raises:
        ConfigError: images are said to lie elsewhere than where LogicVista keeps them.
        DatasetError: it is a URL, missing, unreadable, empty, or of no kind known.
    """
    if images is not None and file.endswith(".json"):
        raise ConfigError(f"{file} is read as LogicVista's, whose images lie in images/ beside it; leave --images out")
    return open_source(_local(file), images=images, columns=columns, max_pixels=max_pixels)


def named(given: Sequence[str], file: str, *, usual: Columns = USUAL) -> Columns:
    """The usual columns, but for those that an option names: `question=prompt`.

    Raises:
        ConfigError: one of them names no field or no column, or the file's columns have names of their own.
    """
    known = [field.name for field in fields(Columns)]
    names = {}
    for part in given:
        field, _, column = part.partition("=")
        if field not in known or not column:
            raise ConfigError(f"{part} names no column; write FIELD=COLUMN with a field of {', '.join(known)}")
        names[field] = column
    if names and file.endswith(".json"):
        raise ConfigError(f"{file} is read as LogicVista's, whose columns have names of their own; leave --columns out")
    return usual.named(**names)


def opened_table(file: str) -> Table:
    """The columns of a data file.

    Raises:
        DatasetError: as `opened`.
    """
    return open_table(_local(file))


def _local(file: str) -> Path:
    if "://" in file:
        raise DatasetError(f"{file} is a URL; nothing is fetched: download the file and name it here")
    path = Path(file)
    if not path.exists():
        raise DatasetError(f"data file {path} cannot be read: there is no such file or folder")
    return path


def threads(workers: int | None) -> int:
    """As many threads as asked for, else as many as there are cores for this process.

    Raises:
        ConfigError: fewer than one.
    """
    if workers is None:
        return usable_cores()
    if workers < 1:
        raise ConfigError(f"--workers={workers} leaves nobody to work; give 1 or more")
    return workers


def files_of(*data: str) -> tuple[Path, ...]:
    """What data files are stored in: themselves, or the shards of a folder.

    Raises:
        DatasetError: as `opened`, as far as that shows unopened.
    """
    paths = [_local(file) for file in data]
    return tuple(part for path in paths for part in (shards(path) if path.is_dir() else [path]))


def check_writable(*paths: Path | None, reads: Sequence[Path] = ()) -> None:
    """See that files can be written there, before the work is done and lost.

    Args:
        reads: Files that are read, and must not be written over.

    Raises:
        ConfigError: one of them is a file that is read.
        DatasetError: one of them cannot be written.
    """
    read = {path.resolve() for path in reads}
    for path in paths:
        if path is None:
            continue
        if path.resolve() in read:
            raise ConfigError(f"cannot write {path}: it is a file that is read; name another one")
        if path.is_dir():
            raise DatasetError(f"cannot write {path}: it is a folder; name a file in it")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise _unwritable(path, error) from error


def check_copy(table: Table, to: Path) -> None:
    """See that rows of a table can be written there, in its format, and neither over itself nor among its shards.

    Raises:
        ConfigError: the name says another format, or is the table's own or inside its folder.
        DatasetError: as `check_writable`.
    """
    if to.suffix != table.suffix:
        raise ConfigError(f"--to {to}: {table.path} is {table.suffix}, and is written as such; name it *{table.suffix}")
    if table.path.is_dir() and to.resolve().is_relative_to(table.path.resolve()):
        raise ConfigError(f"--to {to} would become a shard of {table.path}, its rows twice in it; write it elsewhere")
    check_writable(to, reads=table.files)


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its place at `path` as a whole when the block ends, or not at all.

    Raises:
        DatasetError: it cannot be written.
    """
    check_writable(path)
    try:
        with atomic_file(path) as file:
            yield file
    except OSError as error:
        raise _unwritable(path, error.__cause__ or error) from error


def write_json(path: Path, content: Any) -> None:
    """Write a result.

    Raises:
        DatasetError: it cannot be written.
    """
    with written(path) as file:
        file.write(json_bytes(content, indent=2) + b"\n")


def empty_table(*names: str) -> Shown:
    """An empty table for the console: the first column is text, the others are figures."""
    table = Shown(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place else "left")
    return table


def _unwritable(path: Path, error: BaseException) -> DatasetError:
    reason = error.strerror if isinstance(error, OSError) else None
    return DatasetError(f"cannot write {path}: {reason or error}; choose another place, or free disk space")
