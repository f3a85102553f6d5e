"""Our side of a worker with the official metrics: start it, ask it one row at a time, kill it when it is too slow."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rethinker.errors import RethinkerError
from rethinker.evaluation.megabench.coding import HUNG_SECONDS as PROGRAM_SECONDS
from rethinker.evaluation.scorers import checked_folder

ROW_SECONDS = 2.0
"""Most seconds of CPU time for one response, programs aside."""

HUNG_SECONDS = 20.0
"""Most seconds for one response by the clock, programs aside, on a machine however busy."""

START_SECONDS = 120.0
MEMORY_BYTES = 1 << 30
MAX_REPLY_BYTES = 1 << 26

Record = dict[str, Any]


class MetricsLostError(Exception):
    """A row was not scored: it took too long, or the worker died of it."""


class MetricsDiedError(MetricsLostError):
    """The worker ended by itself, or by another's hand."""


class MetricsProcess:
    """One worker; started when first asked, and again after it was lost. Safe to use from several threads.

    Args:
        run_code: Let programs be run, in the sandbox.
        folder: The scorer environment; None takes the one that the set-up made, with its versions checked.
    """

    def __init__(self, *, run_code: bool = False, folder: Path | None = None) -> None:
        self._run_code = run_code
        self._folder = folder
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._received = b""
        self._unusable: dict[str, str] = {}

    def start(self) -> dict[str, str]:
        """Have the worker import all metrics, and check that they work.

        Returns:
            Metrics that cannot score anything here, with the reason.

        Raises:
            RethinkerError: a package is missing or of another version, or there is no sandbox to run programs in.
        """
        with self._lock:
            self._ensure_started()
            return self._unusable

    def score(self, request: Record) -> Record:
        """The reply to one request, see `metrics.OfficialMetrics.score`.

        Raises:
            MetricsLostError: it took too long or too much memory; the next request finds a fresh worker.
            RethinkerError: as `start`, or the request names an unknown parser or metric.
        """
        tests = request["context"].get("test_case", []) if isinstance(request["context"], dict) else []
        programs = len(tests) if isinstance(tests, list) else 1
        seconds = HUNG_SECONDS + programs * PROGRAM_SECONDS
        with self._lock:
            self._ensure_started()
            try:
                reply = self._ask(json.dumps(request), seconds)
            except MetricsDiedError:  # perhaps of what earlier rows left behind, or with the thread that started it
                self._ensure_started()
                reply = self._ask(json.dumps(request), seconds)
        if "failed" in reply:
            raise RethinkerError(f"MEGA-Bench's metrics cannot score this question: {reply['failed']}")
        return reply

    def close(self) -> None:
        """End the worker and remove what it wrote."""
        with self._lock:
            self._kill()
            if self._scratch is not None:
                self._scratch.cleanup()
                self._scratch = None

    def _ensure_started(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._kill()
        folder = self._folder or checked_folder("megabench")
        self._process = self._start(folder)
        try:
            reply = self._receive(time.monotonic() + START_SECONDS)
        except MetricsLostError as error:
            raise RethinkerError(f"MEGA-Bench's metrics in {folder} do not start: {error}") from error
        if "failed" in reply:
            self._kill()
            raise RethinkerError(
                f"MEGA-Bench cannot be scored: {reply['failed']}; its metrics would count every answer as wrong. They "
                f"are in {folder}, which `python scripts/make_scorers.py megabench` makes"
            )
        self._unusable = reply["unusable"]

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        """A fresh interpreter that sees the standard library, the environment and this package, and no secrets."""
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="megabench-")
        scratch = self._scratch.name
        path = (folder / "lmms_eval" / "tasks" / "megabench", folder, Path(__file__).parents[3])
        environment = {
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONWARNINGS": "ignore",
            "NLTK_DATA": str(folder / "nltk_data"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR"), scratch),
        }
        settings = {
            "parent": os.getpid(),
            "folder": str(folder),
            "run_code": self._run_code,
            "memory_bytes": MEMORY_BYTES,
            "row_seconds": ROW_SECONDS,
        }
        self._received = b""
        return subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "rethinker.evaluation.megabench.worker", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=scratch,
            env=environment,
        )

    def _ask(self, line: str, seconds: float) -> Record:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode("ascii") + b"\n")
        except BrokenPipeError:
            self._kill()
            raise MetricsDiedError("the worker had ended") from None
        return self._receive(time.monotonic() + seconds)

    def _receive(self, deadline: float) -> Record:
        """Wait for one line.

        Raises:
            MetricsLostError: none came in time, or the worker ended.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                self._kill()
                raise MetricsLostError("timeout")
            part = os.read(pipe, 65536)
            if not part or len(self._received) > MAX_REPLY_BYTES:
                status = self._kill()
                if status == -signal.SIGPROF:
                    raise MetricsLostError("timeout")
                raise MetricsDiedError(f"the worker ended with status {status}, of memory or of a damaged package")
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        reply = json.loads(line)
        assert isinstance(reply, dict)
        return reply

    def _kill(self) -> int | None:
        if self._process is None:
            return None
        process, self._process = self._process, None
        status = process.poll()
        process.kill()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        ended = process.wait()
        return ended if status is None else status
