"""Reads the files that benchmarks are published in, as they lie: JSON, JSON lines, either gzipped, and parquet.

Parquet's embedded images are left where they are: a row holds their paths alone, and says where to find them.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rethinker.errors import DatasetError
from rethinker.evaluation.image_refs import ImageRef


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """One row of a published file.

    Attributes:
        fields: Its columns; an embedded image is a `{"path": …}` without its bytes, null where there is none.
        file: Where it stands.
        row: Its row there, for parquet; None otherwise.
        key: Its key, where the file is an object from id to row.
    """

    fields: Mapping[str, object]
    file: Path
    row: int | None = None
    key: str = ""

    def images(self, column: str) -> tuple[ImageRef, ...]:
        """Where the images of a column are: embedded ones, or files that a JSON row names and that are there."""
        value = self.fields.get(column)
        if value is None or value == "":
            return ()
        if self.row is not None and not isinstance(value, str):
            count = len(value) if isinstance(value, list) else 1
            return tuple(ImageRef(file=self.file, column=column, row=self.row, place=place) for place in range(count))
        named = value if isinstance(value, list) else [value]
        files = [self.file.parent / str(name) for name in named]
        return tuple(ImageRef(file=file, column=column) for file in files if file.is_file())


FAULTS = (
    *(ValueError, OverflowError, RecursionError, EOFError, zlib.error),
    *(NotImplementedError, LookupError, TypeError, MemoryError),
)
"""What json and gzip raise for a damaged file, and pyarrow, whose errors are of these."""


def published_rows(path: Path, *, needs: Sequence[str], within: Sequence[str] = ()) -> list[PublishedRow]:
    """All rows of a benchmark's file, in order.

    Args:
        path: .json (a list, or an object from id to row), .jsonl, either with .gz; .parquet, or a folder of shards.
        needs: Columns that every row must have; without one the file is another benchmark's.
        within: Names that tell the shards of interest in a folder (a configuration, a split); empty takes all.

    Raises:
        DatasetError: it cannot be read, holds no rows, or lacks a column.
    """
    try:
        rows = list(_parquet_rows(path, within)) if _is_parquet(path) else list(_json_rows(path))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    except FAULTS as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    if not rows:
        raise DatasetError(f"{path} holds no questions")
    for place, row in enumerate(rows, start=1):
        if missing := [name for name in needs if name not in row.fields]:
            found = ", ".join(list(row.fields)[:12])
            raise DatasetError(
                f"{row.file}, question {place} lacks the column{'s'[: len(missing) > 1]} {', '.join(missing)} (it has "
                f"{found}): is it another benchmark's file, or an older version of it?"
            )
    return rows


def open_text(path: Path) -> TextIO:
    """Open a text in UTF-8, gzipped or not."""
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _is_parquet(path: Path) -> bool:
    return path.is_dir() or path.suffix == ".parquet"


def _json_rows(path: Path) -> Iterator[PublishedRow]:
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    with open_text(path) as file:
        if kind == ".jsonl":
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield PublishedRow(fields=_object(json.loads(line), f"line {number}"), file=path)
        elif kind == ".json":
            content = json.load(file)
            rows = content.items() if isinstance(content, dict) else (("", row) for row in content)
            for key, row in rows:
                yield PublishedRow(fields=_object(row, f"entry {key!r}"), file=path, key=key)
        else:
            raise DatasetError(f"{path} is no file of questions: expected .json, .jsonl, either with .gz, or .parquet")


def _object(row: object, where: str) -> Mapping[str, object]:
    if not isinstance(row, dict):
        raise DatasetError(f"{where} is {str(row)[:60]!r}, not an object with the columns of a question")
    return row


def _parquet_rows(path: Path, within: Sequence[str]) -> Iterator[PublishedRow]:
    """Rows of all shards; the leaves that hold image bytes are not read."""
    import pyarrow.parquet as pq

    shards = sorted(path.rglob("*.parquet"))
    chosen = (_named(shards, path, within) or _named(shards, path.parent, within)) if path.is_dir() else [path]
    if not chosen:
        raise DatasetError(f"{path} holds no parquet file" + (f" of {', '.join(within)}" if within else ""))
    for shard in chosen:
        with pq.ParquetFile(shard) as file:
            leaves = [file.schema.column(index).path for index in range(len(file.schema))]
            light = [leaf for leaf in leaves if leaf.split(".")[-1] != "bytes"]
            row = 0
            for batch in file.iter_batches(batch_size=256, columns=light):
                for fields in batch.to_pylist():
                    yield PublishedRow(fields=fields, file=shard, row=row)
                    row += 1


def _named(shards: Sequence[Path], folder: Path, within: Sequence[str]) -> list[Path]:
    """The shards whose path below a folder has all names as whole words: `test` is not in `testmini-00000.parquet`."""
    words = [re.compile(rf"(?<![^\W_]){re.escape(name)}(?!\w)") for name in within]
    return [shard for shard in shards if all(word.search(str(shard.relative_to(folder))) for word in words)]
