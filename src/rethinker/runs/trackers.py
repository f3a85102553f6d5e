"""Where metrics go in the run folder: `metrics.jsonl`, TensorBoard, or both; and several places as one."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from rethinker.errors import RunFolderError
from rethinker.interfaces import Tracker
from rethinker.runs.files import unwritable, write_atomically
from rethinker.runs.shown import NOTHING_SHOWN, Showing, ShownResponse
from rethinker.types import Experience


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
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self._path, error) from error

    def show(self, step: int, experiences: Sequence[Experience]) -> None:
        """Responses have a record of their own (`rollouts/`)."""

    def cut_back(self, step: int) -> None:
        """Drop the lines after `step`, and a torn last one. The lines kept stay as they are, to the byte.

        Raises:
            RunFolderError: there is no line of `step`, so lines were lost.
        """
        rows = read_metrics(self._path)
        last = max((row["step"] for row in rows), default=0)
        if last < step:
            raise RunFolderError(
                f"{self._path} ends at step {last}, but the checkpoint to go on from is of step {step}: lines are "
                "missing. Put the whole file back, or remove the checkpoints of later steps than its last line"
            )
        if self._path.exists():
            lines = self._path.read_bytes().split(b"\n")
            kept = [line + b"\n" for line, row in zip(lines, rows) if row["step"] <= step]
            write_atomically(self._path, b"".join(kept))

    def close(self) -> None:
        """Nothing is open between lines."""


class TensorBoardTracker(Tracker):
    """TensorBoard events in a folder of their own; what is not a finite number is left out of them.

    Written record by record, as the libraries' own writers do so in a thread whose errors come late and unwrapped.

    Args:
        showing: Which responses are shown.
    """

    def __init__(self, folder: Path, *, showing: Showing = NOTHING_SHOWN) -> None:
        self._folder = folder
        self._showing = showing
        self._file: BinaryIO | None = None
        self._purge_step: int | None = None

    def log(self, step: int, metrics: Mapping[str, float | int | None]) -> None:
        """Write one event with a scalar per metric.

        Raises:
            RunFolderError: it cannot be written.
        """
        from tensorboard.compat.proto.summary_pb2 import Summary  # slow to import, and only wanted here

        scalars = {name: finite for name, value in metrics.items() if (finite := _finite(value)) is not None}
        self._add(step, [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()])

    def _add(self, step: int, values: Sequence[Any]) -> None:
        """One event of these values, opening the file with the first."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        try:
            if self._file is None:
                self._file = self._opened()
            self._write(self._file, step=step, summary=Summary(value=values))
            self._file.flush()
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def show(self, step: int, experiences: Sequence[Experience]) -> None:
        """Write some responses as text, each with its problem's image, if the step is one of those.

        Raises:
            RunFolderError: they cannot be written.
        """
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = []
        for number, each in enumerate(self._showing.of(step, experiences)):
            values.append(_as_text(f"rollouts/{number}", each))
            if each.image is not None:
                image = Summary.Image(encoded_image_string=each.image, colorspace=3)
                values.append(Summary.Value(tag=f"rollouts/{number}/image", image=image))
        if values:
            self._add(step, values)

    def cut_back(self, step: int) -> None:
        """Have the viewer forget what earlier event files say of the steps after `step`. Call it before `log`."""
        assert self._file is None, "events are written already"
        self._purge_step = step + 1

    def close(self) -> None:
        """Close the event file."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                raise unwritable(self._folder, error) from error

    def _opened(self) -> BinaryIO:
        """A new event file; the viewer forgets the purged steps at a session's start."""
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self._folder.mkdir(exist_ok=True)
        moment = time.time_ns()
        file = (self._folder / f"events.out.tfevents.{moment // 10**9:010d}.{os.getpid()}.{moment % 10**9}").open("xb")
        self._write(file, file_version="brain.Event:2")
        if self._purge_step is not None:
            self._write(file, step=self._purge_step, session_log=SessionLog(status=SessionLog.START))
        return file

    def _write(self, file: BinaryIO, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        RecordWriter(file).write(Event(wall_time=time.time(), **content).SerializeToString())


class Trackers(Tracker):
    """Several trackers as one."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = tuple(trackers)

    def log(self, step: int, metrics: Mapping[str, float | int | None]) -> None:
        """Record in each."""
        for tracker in self._trackers:
            tracker.log(step, metrics)

    def show(self, step: int, experiences: Sequence[Experience]) -> None:
        """Show in each."""
        for tracker in self._trackers:
            tracker.show(step, experiences)

    def cut_back(self, step: int) -> None:
        """Cut back each."""
        for tracker in self._trackers:
            tracker.cut_back(step)

    def close(self) -> None:
        """Close each."""
        for tracker in self._trackers:
            tracker.close()


def _as_text(tag: str, response: ShownResponse) -> Any:
    """A summary that TensorBoard's text page shows; it reads Markdown and takes out what a browser would run."""
    from tensorboard.plugins.text.summary_v2 import text_pb

    said = f"reward {response.reward:g}, advantage {response.advantage:+.2f}, {response.outcome}"
    quoted = "\n".join(f"    {line}" for line in f"{response.prompt}\n→ {response.response}".splitlines())
    (value,) = text_pb(tag, f"{response.problem_id}: {said}\n\n{quoted}").value
    return value


def _finite(value: float | int | None) -> float | int | None:
    """A plain JSON number, None for what JSON cannot say; numpy's and torch's scalars become Python's."""
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
