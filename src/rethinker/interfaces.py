"""The contracts between stages: abstract classes of depth 1. Everything else is final or a plain function.

An advantage estimator has no class: it is a function from one group's rewards to its advantages (`AdvantageEstimator`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Int64

from rethinker.types import Completion, Experience, Metrics, Outline, Problem, Prompt, State, Verdict

if TYPE_CHECKING:  # the rewards and their workers see these contracts without paying for torch
    import torch

AdvantageEstimator = Callable[[Float32[np.ndarray, " group"]], Float32[np.ndarray, " group"]]
"""Rewards of one group → advantages of the same length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to sample.

    Attributes:
        temperature: Divides the logits; 0 is greedy.
        top_p: Keep the smallest set of tokens with at least this probability; 1 keeps all.
        top_k: Keep the k likeliest tokens; 0 keeps all.
        max_tokens: Most tokens to sample, the end token included.
        min_tokens: Sample no end token before this many tokens.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 128
    min_tokens: int = 0


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Request:
    """Ask an engine for samples of one prompt, continuing `prefix`.

    Attributes:
        id: Comes back on the completions.
        prefix: Response tokens that already stand (a first look and its trigger); empty for a fresh response.
        seeds: One per sample; as many completions are made.
    """

    id: str
    prompt: Prompt
    prefix: Int64[np.ndarray, " prefix"]
    sampling: Sampling
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Tokens that a sample grew by and goes on from."""

    request_id: str
    sample: int
    token_ids: tuple[int, ...]


class RolloutEngine(ABC):
    """Samples completions. `submit` queues, `step` advances and returns what finished (`rollout.engine.generate`)."""

    @abstractmethod
    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""

    @abstractmethod
    def step(self) -> list[Completion]:
        """Advance the queued work; return completions finished now. Empty with nothing `pending` means idle."""

    def pieces(self) -> list[Piece]:
        """What the last `step` sampled of samples that go on, for who shows text as it comes; few engines tell."""
        return []

    @property
    @abstractmethod
    def pending(self) -> int:
        """Samples submitted and not yet returned."""

    @abstractmethod
    def cancel(self, request_id: str) -> None:
        """Forget a request; its unfinished samples are never returned."""

    @abstractmethod
    def load_weights(self, weights: Iterator[tuple[str, torch.Tensor]], version: int) -> None:
        """Take the learner's weights; completions sampled from now on carry `version`."""

    def sleep(self) -> None:  # noqa: B027 (nothing, for most)
        """Nothing is asked until the next sync: give back memory that can be had again, where an engine does so."""

    @abstractmethod
    def close(self) -> None:
        """Free what the engine holds."""


class Scorer(ABC):
    """Verifies responses somewhere else, so that scoring overlaps generating."""

    @abstractmethod
    def submit(self, problem: Problem, response: str) -> Future[Verdict]:
        """Queue one response. The future always resolves to a verdict: a failure is an outcome, never an exception."""

    @abstractmethod
    def close(self) -> None:
        """Stop the workers."""


class Replay(ABC):
    """Chooses what an update trains on."""

    @abstractmethod
    def select(self, batch: Sequence[Experience], *, step: int) -> list[Experience]:
        """Choose experiences for the update numbered `step`; one drawn twice stands twice in the list."""

    @abstractmethod
    def policy_synced(self) -> None:
        """The behaviour policy was replaced."""

    @abstractmethod
    def metrics(self) -> Metrics:
        """What the last `select` did (`replay/…`)."""

    @abstractmethod
    def state_dict(self) -> State:
        """All that `select` depends on."""

    @abstractmethod
    def load_state_dict(self, state: State) -> None:
        """Restore `state_dict`."""


class Learner(ABC):
    """Turns weighted experience into weights. Knows tokens and weights, not the algorithm that made them."""

    @abstractmethod
    def policy_synced(self, version: int) -> None:
        """The weights as they are now became the behaviour policy `version`; samples of earlier ones are stale."""

    @abstractmethod
    def update(self, chosen: Sequence[Experience]) -> Metrics:
        """One optimiser update."""

    @abstractmethod
    def token_logprobs(self, experiences: Sequence[Experience]) -> list[Float32[np.ndarray, " tokens"]]:
        """Log-probabilities of every response token under the current weights (temperature 1, nats)."""

    @abstractmethod
    def save(self, folder: Path) -> State:
        """Weights, optimiser and schedule: what is large may be written below `folder`, the rest comes back."""

    @abstractmethod
    def load(self, folder: Path, state: State) -> None:
        """Restore what `save` wrote and returned."""


class WeightSync(ABC):
    """Brings the learner's weights to the engines."""

    @abstractmethod
    def publish(self, version: int) -> Metrics:
        """After it returns, engines sample from the learner's weights under `version`."""


class Tracker(ABC):
    """Somewhere metrics go."""

    @abstractmethod
    def log(self, step: int, metrics: Mapping[str, float | int | None]) -> None:
        """Record one step's metrics."""

    @abstractmethod
    def show(self, step: int, experiences: Sequence[Experience]) -> None:
        """Show some of one step's responses, of the batch before replay, where a person looks."""

    @abstractmethod
    def cut_back(self, step: int) -> None:
        """Forget what was recorded after `step`: a resumed run records it again. Called before the first `log`."""

    @abstractmethod
    def close(self) -> None:
        """Flush and close."""


class ProblemSource(ABC):
    """A finite, indexable collection of problems; rows are read when asked for."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows, bad ones included."""

    @abstractmethod
    def __getitem__(self, index: int) -> Problem:
        """Read one row.

        Raises:
            DataError: the row cannot become a problem.
        """

    @property
    def fingerprint(self) -> str:
        """Tells contents of files apart, for a run that goes on with them; empty where there are none."""
        return ""

    def id(self, index: int) -> str:
        """Name one row without reading its images; a source whose rows have no names counts them."""
        return f"row-{index}"

    def outline(self, index: int) -> Outline:
        """What the length of a row's prompt depends on. Readers of files look at image headers alone, never at pixels.

        Raises:
            DataError: the row cannot become a problem, as far as that shows without pixels.
        """
        problem = self[index]
        sizes = tuple((image.pixels.shape[0], image.pixels.shape[1]) for image in problem.images)
        return Outline(id=problem.id, question=problem.question, image_sizes=sizes)


class Stream(ABC):
    """An endless sequence of training problems; only its position is state."""

    @abstractmethod
    def take(self, n: int) -> list[Problem]:
        """The next `n` problems.

        Raises:
            DatasetError: too many rows are bad, or none is good.
        """

    @abstractmethod
    def state_dict(self) -> State:
        """The position."""

    @abstractmethod
    def load_state_dict(self, state: State) -> None:
        """Go to the position of `state_dict`."""
