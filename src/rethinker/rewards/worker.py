"""A verifier worker: `python -m rethinker.rewards.worker SETTINGS`, started by the pool, never by hand.

A fresh interpreter, so it holds none of the trainer's memory; it forks the workers (see `serving`). A worker scores
one response after another, and dies with its parent. Time is watched from outside: nothing in here could stop a rule
that hangs.
"""

from __future__ import annotations

import importlib
import json
import numbers
import os
import resource
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from rethinker.rewards.extract import final_answer
from rethinker.rewards.serving import become_worker, claim_control, die_with, limit_memory, send, work_alone
from rethinker.rewards.verifiers import verify
from rethinker.rewards.wire import OUT_OF_MEMORY, WorkerSettings, encode_verdict, read_frame, unpack_batch
from rethinker.types import Outcome, Problem, Verdict

_LATEX = "rethinker.rewards.latex"

Score = Callable[[str, Problem], Any]


def main() -> None:
    """Serve until the pool closes its end."""
    given = json.loads(sys.argv[1])
    parent = given.pop("parent")
    settings = WorkerSettings(**given)
    die_with(parent)
    control = claim_control()
    try:
        function = load_function(settings.function, settings.folder) if settings.function else None
    except Exception as error:  # noqa: BLE001 (a user's module may raise anything while it is imported)
        _, outbox = work_alone(control)
        send(outbox, {"state": "failed", "why": f"{type(error).__name__}: {error}"})
        return
    inbox, outbox = become_worker(control, late=lambda: importlib.import_module(_LATEX))
    limit_memory(settings.memory_bytes)
    send(outbox, {"state": "ready"})
    while (frame := read_frame(inbox)) is not None:
        for index, (problem, response) in enumerate(unpack_batch(*frame)):
            if function is None and problem.verifier == "latex":
                _load_latex(outbox, settings.memory_bytes)
            try:
                verdict = verify(problem, response) if function is None else call(function, settings, problem, response)
            except MemoryError:
                os._exit(OUT_OF_MEMORY)  # what a function still holds would starve every later response
            send(outbox, {"index": index, "verdict": encode_verdict(verdict)})


def load_function(name: str, folder: str) -> Score:
    """Import `module:function`, looking in `folder` first.

    Raises:
        ImportError: there is no such module, or it raises.
        TypeError: what it names is not callable.
    """
    module, _, attribute = name.partition(":")
    sys.path.insert(0, folder)
    try:
        function = vars(importlib.import_module(module))[attribute]
    except KeyError:
        raise ImportError(f"module {module!r} has no function {attribute!r}") from None
    if not callable(function):
        raise TypeError(f"{name} is {function!r}, which cannot be called")
    return function


def call(function: Score, settings: WorkerSettings, problem: Problem, response: str) -> Verdict:
    """Score one response by a user's function; what is not a bool or a number in [0, 1] is an error outcome."""
    outcome, reward, detail = Outcome.ERROR, 0.0, ""
    try:
        score = function(response, problem)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 (a user's function may raise anything; it is counted and shown)
        detail = f"{settings.function} raised {type(error).__name__}: {error!s:.500}"
    else:
        if isinstance(score, (numbers.Real, np.bool_)) and 0 <= float(score) <= 1:
            reward = float(score)
            outcome = Outcome.OK if reward >= settings.threshold else Outcome.WRONG
        else:
            detail = f"{settings.function} returned {score!r:.200}; it must return a bool or a number from 0 to 1"
    return Verdict(outcome=outcome, reward=reward, extracted=final_answer(response), detail=detail)


def _load_latex(outbox: BinaryIO, memory_bytes: int) -> None:
    """Import math-verify outside the response's time and memory."""
    if _LATEX not in sys.modules:
        send(outbox, {"state": "loading"})
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        importlib.import_module(_LATEX)
        limit_memory(memory_bytes)
        send(outbox, {"state": "ready"})


if __name__ == "__main__":
    main()
