"""A run folder: where everything of one run lies, and the guarantee that one process at a time writes there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rethinker.errors import RunFolderError
from rethinker.runs.files import remove_unfinished, write_atomically
from rethinker.runs.format import FORMAT_FILE, check_run_format, own_format
from rethinker.runs.lock import FolderLock

_LEFT_BY_A_START_THAT_FAILED = {".lock", "checkpoints", FORMAT_FILE}


class RunFolder:
    """An open, locked run folder; `create` and `resume` make it, `close` (or leaving a `with`) unlocks it."""

    def __init__(self, path: Path, lock: FolderLock) -> None:
        self.path = path
        self._lock = lock
        self.config_file = path / "config.yaml"
        self.checkpoints = path / "checkpoints"
        self.metrics_file = path / "metrics.jsonl"
        self.rollouts = path / "rollouts"
        self.benchmarks = path / "benchmarks"
        self.tensorboard = path / "tensorboard"
        self.quarantine_file = path / "quarantine.jsonl"
        self.report_file = path / "report.html"
        self.summary_file = path / "summary.json"

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new run folder. Its parent is made too, but no more: a longer missing path is a typing error or a
        disk that is not mounted.

        Raises:
            RunFolderError: it holds something already, it is in use, or it cannot be made.
        """
        try:
            path.parent.mkdir(exist_ok=True)
            path.mkdir(exist_ok=True)
            held = {entry.name for entry in path.iterdir()}
        except OSError as error:
            raise RunFolderError(
                f"cannot make the run folder {path}: {error.strerror}; create its parent, make it writable, "
                "or choose another run.dir"
            ) from error
        if held - _LEFT_BY_A_START_THAT_FAILED and "config.yaml" not in held:
            raise RunFolderError(f"the run folder {path} is not empty; choose another run.dir")
        folder = cls(path, FolderLock(path))
        if folder.config_file.exists():  # looked for under the lock: a run in use is no run to resume
            folder.close()
            raise RunFolderError(
                f"the run folder {path} holds a run already; resume it with `rethinker train --resume {path}`, "
                "or choose another run.dir"
            )
        return folder

    @classmethod
    def create_named(cls, recipe: str, *, parent: Path = Path("runs"), now: datetime | None = None) -> Self:
        """Make `<parent>/<recipe>-<YYYYmmdd-HHMMSS>`, with `-2`, `-3`, … appended when the name is taken.

        Raises:
            RunFolderError: as `create`.
        """
        name = f"{recipe}-{now or datetime.now():%Y%m%d-%H%M%S}"
        path, number = parent / name, 1
        while path.exists():
            number += 1
            path = parent / f"{name}-{number}"
        return cls.create(path)

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Open the folder of a run that was started before, without what it had half written when it was killed.

        Raises:
            RunFolderError: there is none, it holds no run, it has another format, it is in use, or it is not writable.
        """
        if not path.is_dir():
            raise RunFolderError(f"there is no run folder {path}; give the folder that `rethinker train` printed")
        if not (path / "config.yaml").is_file():
            raise RunFolderError(f"the folder {path} holds no run: it has no config.yaml; give a run's own folder")
        check_run_format(path)
        folder = cls(path, FolderLock(path))
        remove_unfinished(path)
        return folder

    def write_config(self, text: str) -> None:
        """Write the resolved configuration (YAML), and the format that the folder has from now on."""
        write_atomically(self.path / FORMAT_FILE, json.dumps(own_format()) + "\n")
        write_atomically(self.config_file, text)

    def write_summary(self, summary: Mapping[str, object]) -> None:
        """Write `summary.json`; every value is JSON, NaN is refused."""
        write_atomically(self.summary_file, json.dumps(dict(summary), indent=2, allow_nan=False) + "\n")

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.release()

    def _remove_if_nothing_began(self) -> None:
        """Take away what a failed start leaves; a folder that holds anything else stays."""
        with suppress(OSError):  # checkpoints or something new are not nothing, and the error that led here counts more
            if {entry.name for entry in self.path.iterdir()} <= _LEFT_BY_A_START_THAT_FAILED:
                if self.checkpoints.exists():
                    self.checkpoints.rmdir()
                (self.path / FORMAT_FILE).unlink(missing_ok=True)
                (self.path / ".lock").unlink()
                self.path.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._remove_if_nothing_began()
        self.close()
