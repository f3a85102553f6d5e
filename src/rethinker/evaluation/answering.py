"""Asks a model the questions of a benchmark, through any engine; images are decoded ahead, on a thread.

A second look is forced as in training: first response ⊕ trigger ⊕ second look, spliced from token ids, the trigger
drawn by question and sample (`algo/forcing.py`). Every response that ended by its end token is made to look twice.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rethinker.algo.forcing import TRIGGERS, trigger_category
from rethinker.errors import ConfigError, DataError
from rethinker.evaluation.answers import Answer
from rethinker.evaluation.asking import Asked
from rethinker.interfaces import Request, RolloutEngine, Sampling
from rethinker.models.vlm import VLM
from rethinker.rollout.scoring import NO_PREFIX
from rethinker.seeding import Purpose, key
from rethinker.types import Completion, Problem, Prompt

Rethinking = Literal["off", "forced", "oracle"]

READ_AHEAD = 128
"""Questions whose images are decoded before the engine has room for them."""

DECODED = 256
"""Samples that an engine is given before its first step: as many as it decodes at once by default."""

ASKED_AHEAD, A_STEP = 384, 4
"""Samples that it has at most, those in its queue included, and how many it is given a step, which hides reading them.

Counted, not clocked: which samples stand in one batch is the same every time.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unasked:
    """A question that could not be put to the model, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """How questions are answered.

    Attributes:
        samples: Responses per question.
        max_prompt_tokens: A question whose prompt has more is not asked.
        rethink: Whether every response is made to look twice; `oracle` differs in what is scored alone.
    """

    sampling: Sampling
    samples: int = 1
    seed: int = 0
    max_prompt_tokens: int = 16_384
    rethink: Rethinking = "off"


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _Put:
    """A question whose prompt the engine has, and the samples that it was asked for."""

    asked: Asked
    prompt: Prompt
    samples: Sequence[int]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _First:
    """A first response that looks twice."""

    put: _Put
    sample: int
    completion: Completion
    prefix: np.ndarray


class Answerer:
    """Answers questions with what the engine holds now.

    Attributes:
        generating_seconds: Spent in the engine so far.

    Raises:
        ConfigError: the model has too few positions for such responses.
    """

    def __init__(self, vlm: VLM, engine: RolloutEngine, settings: Answering) -> None:
        self.settings = settings
        self.generating_seconds = 0.0
        self._vlm = vlm
        self._engine = engine
        self._triggers = {category: vlm.tokenize(text) for category, text in TRIGGERS.items()}
        positions = int(vlm.module.config.get_text_config().max_position_embeddings)
        longest = max(map(len, self._triggers.values()))
        self._most_prompt_tokens = min(settings.max_prompt_tokens, positions - settings.sampling.max_tokens)
        self._room = positions - longest - settings.sampling.max_tokens
        if self._most_prompt_tokens <= 0:
            raise ConfigError(
                f"--max-tokens {settings.sampling.max_tokens} leaves no room for a question: the model has "
                f"{positions:,} positions; give {positions // 2:,} or less"
            )
        self._puts: dict[str, _Put] = {}
        self._owed: dict[str, int] = {}
        self._looks: dict[str, _First] = {}

    def answer(self, questions: Iterable[tuple[Asked, Sequence[int]]]) -> Iterator[Answer | Unasked]:
        """Ask each question for some of its samples; answers come as they are finished."""
        prompts = self._prompts(questions)
        waiting = True
        while waiting or self._engine.pending:
            given = 0
            while waiting and self._engine.pending < (ASKED_AHEAD if given < A_STEP else DECODED):
                given += 1
                match next(prompts, None):
                    case None:
                        waiting = False
                    case Unasked() as unasked:
                        yield unasked
                    case _Put() as put:
                        self._submit(self._first_request(put))
            for completion in self._step():
                if (answer := self._finished(completion)) is not None:
                    yield answer

    def _let_go(self, put: _Put) -> None:
        """One sample less is owed; with the last one the images go."""
        self._owed[put.asked.id] -= 1
        if not self._owed[put.asked.id]:
            del self._puts[put.asked.id], self._owed[put.asked.id]

    def _prompts(self, questions: Iterable[tuple[Asked, Sequence[int]]]) -> Iterator[_Put | Unasked]:
        """Questions with their prompts, in order; the next ones are read meanwhile."""
        with ThreadPoolExecutor(1, thread_name_prefix="questions") as reader:
            read: deque[tuple[Asked, Sequence[int], Future[Problem]]] = deque()
            for question, samples in questions:
                read.append((question, samples, reader.submit(self._read, question)))
                if len(read) > READ_AHEAD:
                    yield self._put(*read.popleft())
            while read:
                yield self._put(*read.popleft())

    def _read(self, question: Asked) -> Problem:
        problem = question.problem()
        self._vlm.encode_ahead(problem, "bare")
        return problem

    def _put(self, question: Asked, samples: Sequence[int], problem: Future[Problem]) -> _Put | Unasked:
        try:
            prompt = self._vlm.encode(problem.result(), "bare", max_tokens=self._most_prompt_tokens)
        except DataError as error:
            return Unasked(id=question.question.id, reason=str(error))
        put = _Put(asked=question, prompt=prompt, samples=samples)
        self._puts[question.id], self._owed[question.id] = put, len(samples)
        return put

    def _first_request(self, put: _Put) -> Request:
        seeds = tuple(self._seed(put, sample, step=0) for sample in put.samples)
        return Request(
            id=put.asked.id, prompt=put.prompt, prefix=NO_PREFIX, sampling=self.settings.sampling, seeds=seeds
        )

    def _finished(self, completion: Completion) -> Answer | None:
        """The answer that a completion ends; None where it goes on with a second look."""
        if (first := self._looks.pop(completion.request_id, None)) is not None:
            return self._second(first, completion)
        put = self._puts[completion.request_id]
        sample = put.samples[completion.sample]
        if self._looks_twice(put, completion):
            self._force(put, sample, completion)
            return None
        self._let_go(put)
        return Answer(
            id=put.asked.question.id,
            sample=sample,
            prompt=put.asked.text,
            response=self._vlm.decode(completion.token_ids),
            tokens=len(completion.token_ids),
            first=None,
            first_tokens=None,
            finish=completion.finish_reason,
        )

    def _looks_twice(self, put: _Put, first: Completion) -> bool:
        """Whether it must, and there is room: a response that was cut off has no end to go on from."""
        taken = len(put.prompt.token_ids) + len(first.token_ids) - 1
        return self.settings.rethink != "off" and first.finish_reason == "stop" and taken <= self._room

    def _force(self, put: _Put, sample: int, completion: Completion) -> None:
        category = trigger_category(self.settings.seed, 0, put.asked.id, sample, tuple(TRIGGERS))
        prefix = np.concatenate([completion.token_ids[:-1], self._triggers[category]])
        name = f"{put.asked.id}#{sample}"
        self._looks[name] = _First(put=put, sample=sample, completion=completion, prefix=prefix)
        seed = self._seed(put, sample, step=1)
        self._submit(Request(id=name, prompt=put.prompt, prefix=prefix, sampling=self.settings.sampling, seeds=(seed,)))

    def _second(self, first: _First, look: Completion) -> Answer:
        self._let_go(first.put)
        return Answer(
            id=first.put.asked.question.id,
            sample=first.sample,
            prompt=first.put.asked.text,
            response=self._vlm.decode(np.concatenate([first.prefix, look.token_ids])),
            tokens=len(first.completion.token_ids) + len(look.token_ids),
            first=self._vlm.decode(first.completion.token_ids),
            first_tokens=len(first.completion.token_ids),
            finish=look.finish_reason,
        )

    def _seed(self, put: _Put, sample: int, *, step: int) -> int:
        return key(self.settings.seed, Purpose.BENCHMARK, step=step, problem_id=put.asked.id, sample=sample)

    def _submit(self, request: Request) -> None:
        started = time.perf_counter()
        self._engine.submit([request])
        self.generating_seconds += time.perf_counter() - started

    def _step(self) -> list[Completion]:
        started = time.perf_counter()
        finished = self._engine.step()
        self.generating_seconds += time.perf_counter() - started
        return finished
