"""Whole runs of the tiny recipe, each in a process of its own, watched from outside: its steps and its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from rethinker.runs.trackers import read_metrics

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "tiny.yaml"
RAY = ("cluster.kind=ray", "cluster.ranks=1", "engine.replicas=1")
QUIET = (
    "device=cpu",
    "threads=1",
    "evaluation.every=0",
    "evaluation.validation_problems=1",
    "evaluation.test_problems=1",
)
"""One thread a process, and next to nothing measured, which is no part of the loop."""
SEATS = ("learner_rank_0", "engine_0")
_LOOK = 0.2
"""Seconds between two looks at a run."""


class Training:
    """A run under way; leaving the block ends it.

    Args:
        folder: Of the run.
        overrides: Of the tiny recipe, after `QUIET`.
    """

    def __init__(self, folder: Path, overrides: Sequence[str]) -> None:
        command = [sys.executable, "-m", "rethinker", "train", str(RECIPE), f"run.dir={folder}", *QUIET, *overrides]
        path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        self._metrics = folder / "metrics.jsonl"
        self._errors = folder.with_suffix(".txt").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )
        self.process = psutil.Process(self._process.pid)

    @property
    def steps(self) -> int:
        """Steps done so far."""
        return self._metrics.read_bytes().count(b"\n") if self._metrics.exists() else 0

    def goes_on(self) -> bool:
        """Whether it still runs, asked a moment later.

        Raises:
            RuntimeError: it failed.
        """
        time.sleep(_LOOK)
        code = self._process.poll()
        if code:
            self._errors.seek(0)
            raise RuntimeError(f"the run ended with code {code}: {self._errors.read()[-2000:]}")
        return code is None

    def rows(self) -> list[dict[str, Any]]:
        """What it recorded of each step."""
        return list(read_metrics(self._metrics))

    def seated(self) -> dict[str, psutil.Process]:
        """The processes of learner and engine."""
        found = {}
        for child in self.process.children(recursive=True):
            title = _title(child)
            found.update({seat: child for seat in SEATS if title.startswith(f"ray::{seat}")})
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._errors.close()


def pin(seated: Mapping[str, psutil.Process], cores: Sequence[int]) -> None:
    """Every thread of each process to one core."""
    for process, core in zip(seated.values(), cores, strict=True):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {core})


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def whole_steps(rows: Sequence[Mapping[str, Any]], *, first: int) -> Sequence[Mapping[str, Any]]:
    """The steps that count: without those before step `first` and the last, which measures the held-out problems."""
    return rows[first - 1 : -1]


def mean_seconds(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    """Of a step, in what `time/<name>` timed."""
    return sum(float(row[f"time/{name}"]) for row in rows) / len(rows)
