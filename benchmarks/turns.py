"""Arms in processes of their own that step in turn: they share the machine's mood, but neither memory nor caches.

A worker speaks lines of JSON: it says `Ready` when it stands, does a step for every line it reads, answers each with a
`Step`, and ends when its input does. Nothing here imports the package: an engine of another environment serves too.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TextIO

import psutil

HERE = Path(__file__).parent
OUT_OF_MEMORY = 77
"""Exit code of a worker whose GPU has too little memory for what was asked."""


class OutOfMemoryError(RuntimeError):
    """A worker ended because its GPU's memory was short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A worker stands.

    Attributes:
        prompts: The tokens of its prompts.
        loaded_bytes: Memory it holds now: resident set, or what is allocated on its GPU.
    """

    prompts: list[list[int]]
    loaded_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        cpu_seconds: Processor seconds over all threads.
        tokens: Response tokens, over all responses.
        peak_bytes: Most memory held so far: resident set, or what was allocated on the GPU.
        passed_tokens: Tokens that passed the language model in an update, where they were counted.
    """

    seconds: float
    cpu_seconds: float
    tokens: int
    peak_bytes: int
    passed_tokens: int = 0


class Clock:
    """Runs from its making to `stop`; a GPU's queue is empty at both ends."""

    def __init__(self, device: str) -> None:
        self._device = device
        _wait(device)
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, tokens: int, *, passed_tokens: int = 0) -> Step:
        """The step that just ended."""
        _wait(self._device)
        return Step(
            seconds=time.perf_counter() - self._wall,
            cpu_seconds=time.process_time() - self._cpu,
            tokens=tokens,
            peak_bytes=peak_bytes(self._device),
            passed_tokens=passed_tokens,
        )


def _wait(device: str) -> None:
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


def loaded_bytes(device: str) -> int:
    """Memory held now."""
    if device == "cpu":
        return int(psutil.Process().memory_info().rss)
    import torch

    return int(torch.cuda.memory_allocated())


def peak_bytes(device: str) -> int:
    """Most memory held so far."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    import torch

    return int(torch.cuda.max_memory_allocated())


class Worker:
    """A process that serves one arm.

    Args:
        script: A file of this folder, called with the arm and the work.
        stated: The work as JSON.
        python: Interpreter to run it with.

    Raises:
        OutOfMemoryError: the worker ended for want of memory.
        RuntimeError: the worker ended instead of answering.
    """

    def __init__(self, script: str, arm: str, stated: str, *, threads: int, python: str = sys.executable) -> None:
        self._arm = arm
        self._process = subprocess.Popen(
            [python, str(HERE / script), arm, stated],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"},
        )

    @cached_property
    def ready(self) -> Ready:
        """What it said when it stood; waits for it."""
        return Ready(**self._answer())

    def step(self) -> Step:
        """Let the arm do one step."""
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        return Step(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            if code == OUT_OF_MEMORY:
                raise OutOfMemoryError(f"the {self._arm} worker ran out of the GPU's memory")
            raise RuntimeError(f"the {self._arm} worker ended with code {code}; its error is above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one arm said, its first step left out."""

    ready: Ready
    steps: tuple[Step, ...]


def in_turn(starts: Sequence[Callable[[], Worker]], *, repeats: int, case: str) -> list[Trace]:
    """Start every arm, let them step in turn, and leave out the first step of each.

    Raises:
        RuntimeError: a worker failed, or the arms read different prompts.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(start()) for start in starts]  # they load side by side
        if any(worker.ready.prompts != workers[0].ready.prompts for worker in workers):
            raise RuntimeError(f"{case}: the arms read different prompts; their templates have come apart")
        rounds = [[worker.step() for worker in workers] for _ in range(repeats + 1)][1:]
        return [Trace(ready=worker.ready, steps=steps) for worker, steps in zip(workers, zip(*rounds, strict=True))]


Arm = Callable[[Any, Iterator[str], Callable[[Any], None]], None]
"""Takes the work, a line for every step asked for, and how to answer."""


def serve(arms: dict[str, Arm], read: Callable[[str], Any]) -> None:
    """Serve the arm that the command line names, with the work that it states."""
    arm, stated = sys.argv[1:]
    answers = own_output()

    def say(message: Any) -> None:
        print(json.dumps(asdict(message)), file=answers, flush=True)

    try:
        arms[arm](read(stated), iter(sys.stdin), say)
    except RuntimeError as error:
        if type(error).__name__ != OutOfMemoryError.__name__:  # torch's, without importing torch
            raise
        print(f"{arm}: {error}", file=sys.stderr)
        sys.exit(OUT_OF_MEMORY)


def own_output() -> TextIO:
    """Standard output for answers alone: whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers
