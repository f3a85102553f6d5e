"""An engine that says what a test tells it to, a scorer without processes, and parts of a loop around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

import numpy as np
import torch

from rethinker.data.quarantine import Quarantine
from rethinker.interfaces import Request, RolloutEngine, Sampling, Scorer, Stream
from rethinker.models.vlm import VLM
from rethinker.rewards.verifiers import verify
from rethinker.rollout.rethink import Rethinker
from rethinker.rollout.sampler import Sampler
from rethinker.timing import Stopwatch
from rethinker.types import Completion, Image, Problem, State, Verdict

CUT = "…"
"""A text that ends with it is cut off by the token limit: it has no end token."""

Say = Callable[[Request, int], str]
"""What sample number so-and-so of a request says."""


def problem(name: str, *, answer: str = "3", image: bool = False, question: str = "How many?") -> Problem:
    pixels = np.random.default_rng(0).integers(0, 256, (56, 84, 3), dtype=np.uint8)
    images = (Image(pixels=pixels),) if image else ()
    return Problem(
        id=name, images=images, question="<image>" * len(images) + question, answer=answer, verifier="number"
    )


class ScriptedEngine(RolloutEngine):
    """Finishes requests last first, one sample at a time, so that nothing can lean on an order."""

    def __init__(self, vlm: VLM, say: Say) -> None:
        self.vlm = vlm
        self.say = say
        self.version = 0
        self.asked: list[Request] = []
        self._queue: list[tuple[Request, int]] = []

    def submit(self, requests: Sequence[Request]) -> None:
        self.asked += requests
        self._queue += [(request, sample) for request in requests for sample in range(len(request.seeds))]

    @property
    def pending(self) -> int:
        return len(self._queue)

    def step(self) -> list[Completion]:
        request, sample = self._queue.pop()
        text = self.say(request, sample)
        ids = self.vlm.tokenize(text.removesuffix(CUT))
        if not text.endswith(CUT):
            ids = np.append(ids, self.vlm.eos_ids[0])
        return [
            Completion(
                request_id=request.id,
                sample=sample,
                token_ids=ids,
                logprobs=scripted_logprobs(len(ids), seed=sample + 100 * bool(len(request.prefix))),
                finish_reason="length" if text.endswith(CUT) else "stop",
                policy_version=self.version,
            )
        ]

    def cancel(self, request_id: str) -> None:
        self._queue = [entry for entry in self._queue if entry[0].id != request_id]

    def load_weights(self, weights: Iterator[tuple[str, torch.Tensor]], version: int) -> None:
        self.version = version

    def close(self) -> None:
        self._queue.clear()


def scripted_logprobs(length: int, *, seed: int) -> np.ndarray:
    """Different at every position and for every sample, and never 0."""
    return -np.random.default_rng(seed).uniform(0.1, 1.0, length).astype(np.float32)


class RuleScorer(Scorer):
    """The rules themselves, in this process. Keeps what it was asked."""

    def __init__(self) -> None:
        self.responses: list[str] = []

    def submit(self, problem: Problem, response: str) -> Future[Verdict]:
        self.responses.append(response)
        future: Future[Verdict] = Future()
        future.set_result(verify(problem, response))
        return future

    def close(self) -> None:
        """Nothing is open."""


class ListStream(Stream):
    """The problems of a list, round and round."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._problems = list(problems)
        self.position = 0

    def take(self, n: int) -> list[Problem]:
        taken = [self._problems[(self.position + i) % len(self._problems)] for i in range(n)]
        self.position += n
        return taken

    def state_dict(self) -> State:
        return {"position": self.position}

    def load_state_dict(self, state: State) -> None:
        self.position = state["position"]


def sampler(vlm: VLM, engine: RolloutEngine, stream: Stream, *, quarantine: Quarantine | None = None, **changed: int):
    settings = {"queries": 2, "group_size": 2, "rounds": 1, "seed": 0, "max_prompt_tokens": 1000} | changed
    return Sampler(
        stream=stream,
        quarantine=Quarantine(max_share=1.0) if quarantine is None else quarantine,
        vlm=vlm,
        engine=engine,
        scorer=RuleScorer(),
        stopwatch=Stopwatch(),
        template="plain",
        sampling=Sampling(max_tokens=32),
        **settings,
    )


def rethinker(
    vlm: VLM, engine: RolloutEngine, scorer: Scorer, *, share: float = 1.0, max_kept: int = 2, room: int = 6144
) -> Rethinker:
    return Rethinker(
        vlm=vlm,
        engine=engine,
        scorer=scorer,
        stopwatch=Stopwatch(),
        seed=0,
        share=share,
        max_kept=max_kept,
        categories=("self_questioning", "self_correction", "self_verification"),
        sampling=Sampling(max_tokens=32),
        max_total_tokens=room,
    )
