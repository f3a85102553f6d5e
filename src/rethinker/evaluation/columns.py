"""What a column of a published row holds, checked: a text, a list that is written as one, a number."""

from __future__ import annotations

import ast
from pathlib import Path

from rethinker.errors import DatasetError
from rethinker.evaluation.published import PublishedRow


def is_hub(path: Path) -> bool:
    """Whether questions come as the hub publishes them: one parquet file, or a folder of shards."""
    return path.is_dir() or path.suffix == ".parquet"


def text(row: PublishedRow, column: str, default: str = "") -> str:
    """A column's text; the default where it is null or not there.

    Raises:
        DatasetError: it holds something else.
    """
    value = row.fields.get(column)
    if value is None:
        return default
    if not isinstance(value, str):
        raise wrong(row, column, "a text")
    return value


def texts(row: PublishedRow, column: str) -> tuple[str, ...]:
    """A column's list of texts, also one in Python's notation as MMMU stores it; empty where it is null or not there.

    Raises:
        DatasetError: it holds something else.
    """
    value = row.fields.get(column)
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value) if value.strip() else []
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise wrong(row, column, "a list in Python's notation") from error
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise wrong(row, column, "a list of texts")
    return tuple(each if isinstance(each, str) else str(each) for each in value)


def number(row: PublishedRow, column: str) -> float | None:
    """A column's number, None where it is null or not there.

    Raises:
        DatasetError: it holds something else.
    """
    value = row.fields.get(column)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise wrong(row, column, "a number")


def section(row: PublishedRow, column: str) -> dict[str, object]:
    """A column's object from name to value.

    Raises:
        DatasetError: it holds something else.
    """
    value = row.fields.get(column)
    if not isinstance(value, dict):
        raise wrong(row, column, "an object")
    return value


def wrong(row: PublishedRow, column: str, expected: str) -> DatasetError:
    """The error of a column that holds something else than was expected."""
    where = f", row {row.row}" if row.row is not None else f", {row.key}" if row.key else ""
    value = row.fields.get(column)
    return DatasetError(
        f"{row.file}{where}: column {column!r} holds {str(value)[:60]!r} ({type(value).__name__}), expected {expected}"
    )
