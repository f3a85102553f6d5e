"""Writing files so that a reader, or the next start after a kill, finds the old or the new, never half of it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from safetensors import SafetensorError

from rethinker.errors import RunFolderError


@contextmanager
def atomic_file(path: Path, *, flush: bool = True) -> Iterator[BinaryIO]:
    """Open a file beside `path` that takes its place, flushed to disk, when the block ends without an error.

    Args:
        flush: Off, a power cut may take the file, and nothing else: for what can be done without.

    Raises:
        RunFolderError: it cannot be written (disk full, no permission); what stood at `path` still stands.
    """
    aside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with aside.open("wb") as file:
            yield file
            if flush:
                file.flush()
                os.fsync(file.fileno())
        aside.replace(path)
        if flush:
            sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        aside.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str, *, flush: bool = True) -> None:
    """Replace a file's content as a whole; text is UTF-8.

    Args:
        flush: As `atomic_file`.

    Raises:
        RunFolderError: as `atomic_file`.
    """
    with atomic_file(path, flush=flush) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed had begun to write as `atomic_file`; nobody else may be writing there."""
    for path in folder.glob(".*.tmp-*"):
        path.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, *, parents: bool = False) -> Iterator[Path]:
    """A folder beside `path` that takes its place when the block ends without an error; made first, not to fail last.

    Args:
        parents: Make the folders above it too.

    Raises:
        RunFolderError: `path` is not empty, or cannot be written; nothing of it is left.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunFolderError(f"{path} exists and is not an empty folder; choose another --to, or empty it")
    aside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        aside.mkdir(parents=parents)
        yield aside
        aside.rename(path)
    except (OSError, SafetensorError) as error:
        raise RunFolderError(f"{path} cannot be written: {error}; choose another --to") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def unwritable(path: Path, error: OSError) -> RunFolderError:
    """The user's version of a failed write: which file, why, and what to do."""
    return RunFolderError(
        f"cannot write {path}: {error.strerror or error}; free disk space or make the folder writable, "
        "then resume the run from its last checkpoint"
    )


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and itself."""
    for path in (*files_below(folder), *(sub for sub in folder.rglob("*") if sub.is_dir()), folder):
        sync_folder(path)  # fsync asks for a descriptor, whatever it is of


def files_below(folder: Path) -> list[Path]:
    """Regular files in a folder and its subfolders, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def bytes_below(folder: Path) -> int:
    """Bytes of all files in a folder and its subfolders."""
    return sum(path.stat().st_size for path in files_below(folder))


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
