"""Data files that must stay as they were: while they are read, as where a row begins is known of one file alone, and
while a run is stopped, as its position in the data means nothing in others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rethinker.errors import DatasetError

BLOCKS, BLOCK_BYTES = 256, 16_384
"""What is read for a fingerprint, of all files together: 4 MB, and 4 blocks of each at least."""


class Unchanged:
    """Size and time of a file, looked at again before its rows are read.

    Raises:
        OSError: it cannot be looked at.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._then = _state(path)

    def check(self) -> None:
        """See that it is the same.

        Raises:
            DatasetError: it has changed, or is gone.
        """
        remedy = "put it back as it was and resume the run, or begin a new one with what it holds now"
        try:
            now = _state(self._path)
        except OSError as error:
            raise DatasetError(
                f"data file {self._path} was read before and cannot be read any more: {error.strerror or error}; "
                f"{remedy}"
            ) from error
        if now != self._then:
            raise DatasetError(
                f"data file {self._path} has changed since its rows were counted (size and time were {self._then} and "
                f"are {now}), so that they may be others now; {remedy}"
            )


def _state(path: Path) -> tuple[int, int]:
    """Bytes, and nanoseconds of the last change."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def fingerprint(files: Sequence[Path]) -> str:
    """Names, sizes, and blocks spread over each file: what is known of data in no time, whatever its size.

    Folder and time of change are left out: data that was moved, or fetched again, is the same. A change of some bytes
    in the middle of a file above 4 MB may go unseen.

    Raises:
        DatasetError: a file cannot be read.
    """
    digest, total = hashlib.blake2b(digest_size=8), 0
    blocks = max(4, BLOCKS // len(files))
    for path in files:
        try:
            total += _feed(digest, path, blocks)
        except OSError as error:
            raise DatasetError(f"data file {path} cannot be read: {error.strerror or error}") from error
    names = ", ".join([*(path.name for path in files[:3]), *(["…"] if len(files) > 3 else [])])
    return f"{names} ({total} bytes, {digest.hexdigest()})"


def _feed(digest: hashlib.blake2b, path: Path, blocks: int) -> int:
    """Digest one file, the whole of it where it is small; its size."""
    with path.open("rb") as file:
        size = path.stat().st_size
        digest.update(f"{path.name}|{size}|".encode())
        if size <= blocks * BLOCK_BYTES:
            digest.update(file.read())
            return size
        for block in range(blocks):  # the first and the last at the ends
            file.seek(block * (size - BLOCK_BYTES) // (blocks - 1))
            digest.update(file.read(BLOCK_BYTES))
    return size
