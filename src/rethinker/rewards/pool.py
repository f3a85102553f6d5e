"""The pool that scores responses in worker processes, out of the trainer's way and out of its memory."""

from __future__ import annotations

import os
from concurrent.futures import Future
from dataclasses import asdict
from types import TracebackType

from rethinker.errors import ConfigError, RethinkerError
from rethinker.interfaces import Scorer
from rethinker.rewards.extract import final_answer
from rethinker.rewards.process import Work, WorkerLostError
from rethinker.rewards.wire import WorkerSettings, decode_verdict, pack_batch
from rethinker.rewards.worker_pool import WorkerPool
from rethinker.timing import Stopwatch
from rethinker.types import Outcome, Problem, Verdict


class VerifierPool(Scorer):
    """Scores responses by rule, or by a user's function, in worker processes with hard limits.

    Every response submitted gets exactly one verdict. A context manager; `submit` may be called from any thread.

    Args:
        workers: Worker processes.
        timeout_seconds: Most seconds for one response; then the worker is killed and the outcome is `timeout`.
        memory_bytes: Address space a worker may add to what it starts with; beyond it the outcome is `error` (Linux).
        function: `module:function`, called as `function(response, problem)`; empty verifies by the problems' rules.
        threshold: A function's score from here on is correct.
        stopwatch: Told how long the workers are busy.

    Raises:
        ConfigError: the function cannot be imported.
        RethinkerError: a worker cannot be started.
    """

    def __init__(
        self,
        *,
        workers: int,
        timeout_seconds: float,
        memory_bytes: int,
        function: str = "",
        threshold: float = 1.0,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        folder = os.getcwd()
        work: Work[tuple[Problem, str], Verdict] = Work(
            module="rethinker.rewards.worker",
            settings=asdict(
                WorkerSettings(memory_bytes=memory_bytes, function=function, threshold=threshold, folder=folder)
            ),
            pack=lambda batch: pack_batch(batch, whole=bool(function)),
            decode=decode_verdict,
            timeout_seconds=timeout_seconds,
            memory_limit=f"{memory_bytes} bytes (verifier.memory_bytes)",
            folder=folder,
        )
        try:
            self._pool = WorkerPool(work, _failed, workers=workers, stopwatch=stopwatch)
        except WorkerLostError as error:
            raise _start_error(function, folder, error) from error

    def submit(self, problem: Problem, response: str) -> Future[Verdict]:
        """Queue one response; its future resolves to a verdict, whatever happens.

        Raises:
            RuntimeError: the pool is closed.
        """
        return self._pool.submit((problem, response))

    def close(self) -> None:
        """Kill the workers; responses without a verdict get an `error` outcome. Closing twice is fine."""
        self._pool.close()

    def __enter__(self) -> VerifierPool:
        """The pool itself; its workers are ready."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the pool."""
        self.close()


def _failed(item: tuple[Problem, str], outcome: Outcome, why: str) -> Verdict:
    return Verdict(outcome=outcome, reward=0.0, extracted=final_answer(item[1]), detail=why)


def _start_error(function: str, folder: str, error: WorkerLostError) -> RethinkerError:
    if not function:
        return RethinkerError(f"a verifier worker did not start: {error}")
    return ConfigError(
        f"verifier.function={function!r} cannot be loaded in a worker: {error}. It must be "
        f"module:function, importable from {folder} or from an installed package"
    )
