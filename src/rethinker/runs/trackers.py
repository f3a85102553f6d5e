"""Where metrics go: `metrics.jsonl`, TensorBoard, or both."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rethinker.errors import RunFolderError
from rethinker.interfaces import Tracker
from rethinker.runs.files import unwritable, write_atomically

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a `metrics.jsonl`, [] when there is none. A last line that a kill cut short is left out.

    Raises:
        RunFolderError: a line before the last is no JSON object.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is empty or torn
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            rows.append({**row, "step": int(row["step"])})
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"line {number} of {path} is no line of metrics; remove the line") from error
    return rows


class JsonlTracker(Tracker):
    """One JSON object per step, appended to a file: `step` first, then the names sorted; NaN and infinity are null."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def log(self, step: int, metrics: Mapping[str, float | int | None]) -> None:
        """Append one line.

        Raises:
            RunFolderError: the file cannot be written.
        """
        row = {"step": step} | {name: _finite(metrics[name]) for name in sorted(metrics) if name != "step"}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, allow_nan=False) + "\n")
        except OSError as error:
            raise unwritable(self._path, error) from error

    def cut_back(self, step: int) -> None:
        """Drop the lines after `step`, and a torn last one. The lines kept stay as they are, to the byte."""
        rows = read_metrics(self._path)
        if self._path.exists():
            lines = self._path.read_bytes().split(b"\n")
            kept = [line + b"\n" for line, row in zip(lines, rows) if row["step"] <= step]
            write_atomically(self._path, b"".join(kept))

    def close(self) -> None:
        """Nothing is open between lines."""


class TensorBoardTracker(Tracker):
    """TensorBoard events in a folder of their own; what is not a finite number is left out of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._purge_step: int | None = None

    def log(self, step: int, metrics: Mapping[str, float | int | None]) -> None:
        """Write one scalar per metric."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import, and only wanted here

            self._writer = SummaryWriter(str(self._folder), purge_step=self._purge_step)
        for name, value in metrics.items():
            if (finite := _finite(value)) is not None:
                self._writer.add_scalar(name, finite, step)
        self._writer.flush()

    def cut_back(self, step: int) -> None:
        """Have the viewer forget what earlier event files say of the steps after `step`. Call it before `log`."""
        assert self._writer is None, "events are written already"
        self._purge_step = step + 1

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Trackers(Tracker):
    """Several trackers as one."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = tuple(trackers)

    def log(self, step: int, metrics: Mapping[str, float | int | None]) -> None:
        """Record in each."""
        for tracker in self._trackers:
            tracker.log(step, metrics)

    def cut_back(self, step: int) -> None:
        """Cut back each."""
        for tracker in self._trackers:
            tracker.cut_back(step)

    def close(self) -> None:
        """Close each."""
        for tracker in self._trackers:
            tracker.close()


def _finite(value: float | int | None) -> float | int | None:
    """A plain JSON number, None for what JSON cannot say; numpy's and torch's scalars become Python's."""
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
