"""A tracker whose service runs in a process of its own: one that fails, or hangs, neither stops a run nor slows it."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Full, Queue
from typing import Any, BinaryIO

from rethinker.errors import RunFolderError
from rethinker.interfaces import Tracker
from rethinker.redaction import redacted
from rethinker.runs.shown import Showing
from rethinker.types import Experience

_WAITING = 256
"""Records kept for a service that is behind; what comes beyond them is dropped, and counted."""

_LAST_WORDS = 2.0
"""Seconds for what a service that has ended still says: a process that it left behind may hold its output open."""


class ServiceTracker(Tracker):
    """Hands every record to a service's process, and never waits for it but at the end, and then not for long.

    What the service says goes to `<folder>/log`. How many records it did not get is logged at the end.

    Args:
        kind: "wandb", "trackio" or "mlflow".
        folder: Of the service's own in the run folder; made here.
        project: Under which the service lists the run.
        run: The run's name there.
        settings: The run's configuration, by dotted names.
        showing: Which responses are shown.
        patience: Seconds that the service has, when the run ends, to take what it has not yet.
    """

    def __init__(
        self,
        kind: str,
        folder: Path,
        *,
        project: str,
        run: str,
        settings: Mapping[str, Any],
        showing: Showing,
        patience: float,
    ) -> None:
        self._kind, self._folder = kind, folder
        self._showing, self._patience = showing, patience
        self._given = {"kind": kind, "project": project, "run": run, "folder": str(folder), "settings": dict(settings)}
        self._records: Queue[bytes | None] = Queue(maxsize=_WAITING)
        self._made = self._written = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot make {folder}: {error.strerror}; choose another run.dir") from error
        self._feeder = threading.Thread(target=self._feed, name=f"tracker-{kind}", daemon=True)
        self._feeder.start()

    def log(self, step: int, metrics: Mapping[str, float | int | None]) -> None:
        """Hand on what is a finite number, under the same names."""
        numbers = {name: float(value) for name, value in metrics.items() if value is not None}
        self._hand_on({"step": step, "metrics": {name: x for name, x in numbers.items() if math.isfinite(x)}})

    def show(self, step: int, experiences: Sequence[Experience]) -> None:
        """Hand on some responses of the step, if it is one of those."""
        if some := self._showing.of(step, experiences):
            self._hand_on({"step": step, "responses": [each.to_json() for each in some]})

    def cut_back(self, step: int) -> None:
        """Services keep what they were told; steps that are made again are told again."""

    def close(self) -> None:
        """Let the service take what is left, for as long as it may, then end it; say what it did not get."""
        if self._closed:
            return
        self._closed = True
        threading.Thread(target=self._records.put, args=(None,), daemon=True).start()  # the queue may be full
        self._feeder.join(self._patience)
        late = self._feeder.is_alive()
        if late and self._process is not None:
            self._process.kill()
        code = self._process.wait() if self._process is not None else None
        if code or self._written < self._made:
            self._complain(
                f"had not taken them {self._patience:g} s after the end" if late else f"ended with code {code}"
            )

    def _complain(self, why: str) -> None:
        logging.getLogger("rethinker").warning(
            f"{self._kind} {why}; {self._made - self._written} of {self._made} records did not reach it. What it said "
            f"is in {self._folder / 'log'}; all of them are in the run folder"
        )

    def _hand_on(self, record: Mapping[str, Any]) -> None:
        self._made += 1
        with contextlib.suppress(Full):  # counted: it was made, and will not be written
            self._records.put_nowait(json.dumps(record).encode() + b"\n")

    # ---- the feeder's thread ----

    def _feed(self) -> None:
        """Start the process and write to it; Linux ends it with this thread, at the latest."""
        with (self._folder / "log").open("ab") as log:
            self._process = self._started()
            assert self._process.stdout is not None
            listener = threading.Thread(target=_keep_what_it_says, args=(self._process.stdout, log), daemon=True)
            listener.start()
            while (record := self._records.get()) is not None:
                self._written += self._wrote(record)
            self._wrote(None)
            self._process.wait()
            listener.join(_LAST_WORDS)

    def _started(self) -> subprocess.Popen[bytes]:
        given = json.dumps(self._given | {"parent": os.getpid()}, default=str)
        command = [sys.executable, "-m", "rethinker.runs.service_process", given]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _wrote(self, record: bytes | None) -> bool:
        """Write a record, or None for the end; False where nobody reads any more."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            if record is None:
                self._process.stdin.close()
            else:
                self._process.stdin.write(record)
                self._process.stdin.flush()
        except OSError:  # its last words are in the log
            return False
        return True


def _keep_what_it_says(said: BinaryIO, log: BinaryIO) -> None:
    """Write it to the log line by line, without passwords: libraries name the addresses that they cannot reach."""
    for line in said:
        with contextlib.suppress(ValueError):  # closed: nobody waited longer for what was left behind
            log.write(redacted(line.decode("utf-8", "replace")).encode())
            log.flush()
