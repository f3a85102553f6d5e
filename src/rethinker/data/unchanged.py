"""A data file that must stay as it was when its rows were counted: where they begin is known of that file alone."""

from __future__ import annotations

from pathlib import Path

from rethinker.errors import DatasetError


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
