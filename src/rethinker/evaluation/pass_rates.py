"""How often a model answers each problem of a data set right: what the paper curated its subsets by.

Every row's result is appended to a log and flushed to the disk before it counts as done, so that a run that was killed
goes on where it was, and answers no answered question again; what could not be asked is tried again, since its image
may be there by now. Samples are keyed by row id, so it goes on with the draws it would have made.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rethinker.errors import DataError, DatasetError
from rethinker.interfaces import ProblemSource, Request, RolloutEngine, Sampling, Scorer
from rethinker.models.templates import Template
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.rollout.scoring import first_requests
from rethinker.seeding import Purpose
from rethinker.types import Outcome, Problem, Verdict

CHUNK = 64
"""Rows whose images are held at once."""

UNKNOWN = -1.0
"""The pass rate of a row that could not be asked; ViRL39K's own sign for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of one row.

    Attributes:
        row: Its index in the source.
        outcomes: Responses by outcome; empty where the row cannot be asked.
        reason: Why it cannot be.
    """

    row: int
    outcomes: dict[str, int]
    reason: str = ""

    @property
    def rate(self) -> float:
        """Share of the responses that are right; `UNKNOWN` where none was asked for."""
        asked = sum(self.outcomes.values())
        return self.outcomes.get(Outcome.OK, 0) / asked if asked else UNKNOWN


class AnswerLog:
    """An append-only file of answered rows, one JSON object a line; the first line says under which settings.

    Held by one process at a time. A last line that was cut off by a kill is dropped; of a row's lines the last holds.

    Raises:
        DatasetError: it cannot be written, is in use, is damaged, or was begun under other settings.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        self._answered: dict[int, Answered] = {}
        try:
            self._file = path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise DatasetError(f"{path} is in use by another process; wait until it ends, or stop it") from error
        except OSError as error:
            raise DatasetError(f"{path} cannot be written: {error.strerror or error}") from error
        try:
            self._resume(settings)
        except DatasetError:
            self._file.close()
            raise

    @property
    def answered(self) -> dict[int, Answered]:
        """What became of the rows so far, by row."""
        return self._answered

    def append(self, answered: Answered) -> None:
        """Add one row; when this returns it is on the disk."""
        self._answered[answered.row] = answered
        self._write({"row": answered.row, "outcomes": answered.outcomes, "reason": answered.reason})

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _resume(self, settings: dict[str, Any]) -> None:
        self._file.seek(0)
        lines = self._file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            self._file.truncate(sum(map(len, lines[:-1])))
            lines.pop()
        if not lines:
            self._write(settings)
            return
        try:
            begun, *rows = [json.loads(line) for line in lines]
            answered = [Answered(**row) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{self._path} is damaged: {error!r}; remove it to begin again") from error
        self._answered = {row.row: row for row in answered if not row.reason}
        self._compare(begun, settings)

    def _compare(self, begun: dict[str, Any], settings: dict[str, Any]) -> None:
        for name in {**begun, **settings}:
            if begun.get(name) != settings.get(name):
                raise DatasetError(
                    f"{self._path} was begun with {name}={begun.get(name)!r}, and now it is {settings.get(name)!r}; "
                    "choose another --to, or remove that file to begin again"
                )

    def _write(self, content: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(content).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DatasetError(f"{self._path} cannot be written: {error.strerror or error}") from error


class Rater:
    """Asks a model every problem several times.

    Args:
        template: How a question is put.
        samples: Responses per problem.
        seed: Keys the draws.
    """

    def __init__(
        self,
        *,
        vlm: VLM,
        engine: RolloutEngine,
        scorer: Scorer,
        template: Template,
        max_prompt_tokens: int,
        sampling: Sampling,
        samples: int,
        seed: int,
    ) -> None:
        self._vlm = vlm
        self._engine = engine
        self._scorer = scorer
        self._template: Template = template
        self._max_prompt_tokens = max_prompt_tokens
        self._sampling = sampling
        self._samples = samples
        self._seed = seed

    def measure(
        self, source: ProblemSource, log: AnswerLog, *, advance: Callable[[], object] = lambda: None
    ) -> list[float]:
        """Ask what the log does not hold yet; return every row's pass rate, in order.

        Args:
            advance: Called after each row.

        Raises:
            DatasetError: the log cannot be written.
        """
        left = [row for row in range(len(source)) if row not in log.answered]
        for start in range(0, len(left), CHUNK):
            for answered in self._ask(source, left[start : start + CHUNK]):
                log.append(answered)
                advance()
        return [log.answered[row].rate for row in range(len(source))]

    def _ask(self, source: ProblemSource, rows: Sequence[int]) -> Iterator[Answered]:
        """Rows as their last response is verified, those that cannot be asked first."""
        asked: dict[str, tuple[int, Problem]] = {}
        requests: list[Request] = []
        for row in rows:
            try:
                problem = source[row]
                prompt = self._vlm.encode(problem, self._template, max_tokens=self._max_prompt_tokens)
            except DataError as error:
                yield Answered(row=row, outcomes={}, reason=str(error))
                continue
            asked[problem.id] = row, problem
            requests += first_requests(
                [prompt],
                samples=self._samples,
                sampling=self._sampling,
                seed=self._seed,
                purpose=Purpose.EVALUATION,
                step=0,
            )
        verdicts: dict[str, list[Future[Verdict]]] = {name: [] for name in asked}
        for completion in generate(self._engine, requests):
            name = completion.request_id
            text = self._vlm.decode(completion.token_ids)
            verdicts[name].append(self._scorer.submit(asked[name][1], text))
            for done in [name for name, given in verdicts.items() if self._complete(given)]:
                yield _answered(asked[done][0], verdicts.pop(done))
        for name, given in verdicts.items():
            yield _answered(asked[name][0], given)

    def _complete(self, given: Sequence[Future[Verdict]]) -> bool:
        return len(given) == self._samples and all(verdict.done() for verdict in given)


def _answered(row: int, given: Sequence[Future[Verdict]]) -> Answered:
    return Answered(row=row, outcomes=dict(Counter(verdict.result().outcome.value for verdict in given)))
