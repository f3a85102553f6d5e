"""The nouns: one immutable type per stage of the loop. Torch-free.

    Problem -> Prompt -> Completion -> Rollout -> Group -> Experience

A later stage is a new type that holds the earlier one, never an optional field filled in later. Identity travels with
the object: nothing is joined by position. Tensors exist only in `learner/collate.py` and behind it.

One problem through the loop, two tokens of response:

    problem = Problem(id="p1", question="<image>How many?", images=(image,), answer="3", verifier="number", ...)
    prompt = Prompt(problem_id="p1", token_ids=[5, 9, 9, 6], images=(image,), text="<|im_start|>...")
    completion = Completion(request_id="p1", sample=0, token_ids=[40, 2], logprobs=[-0.1, -0.2], ...)
    rollout = Rollout(prompt=prompt, sample=0, token_ids=[40, 2], forced=[False, False], verdict=Verdict(...), ...)
    group = Group(problem=problem, rollouts=(rollout, ...))
    experience = Experience(rollout=rollout, advantage=0.5, rl=[0.5, 0.5], imitation=[0, 0])
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from rethinker.errors import DataError

IMAGE_MARK = "<image>"
"""Stands in a question where an image belongs; every problem has as many marks as images."""

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Image:
    """A decoded RGB image; compared and deduplicated by `id`. Not slotted, so that `id` is computed once, when asked.

    Attributes:
        pixels: Rows from the top, values 0 to 255.
    """

    pixels: UInt8[np.ndarray, "height width 3"]

    @cached_property
    def id(self) -> str:
        """Hex SHA-256 of the shape and the pixels."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question about zero or more images, with an answer that a rule can verify.

    Attributes:
        id: Unique within the run; keys every random draw that belongs to the problem.
        question: Text with one `<image>` mark per image, in order.
        answer: The right answer, without `\\boxed`.
        verifier: Kind of the answer: "number", "choice", "latex", "text" or "list".
        choices: The options' texts in order A, B, …; empty unless the problem is multiple choice.
        category: What the problem is about, for breakdowns ("counting", "charts", …).
        source: Where it comes from ("gym", a file name, …).

    Raises:
        DataError: marks and images differ in number, or the id or the answer is empty.
    """

    id: str
    images: tuple[Image, ...]
    question: str
    answer: str
    verifier: str
    choices: tuple[str, ...] = ()
    category: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            raise DataError("a problem has an empty id; give every row an id of its own")
        if not self.answer.strip():
            raise DataError(f"problem {self.id} has no answer; it cannot be verified")
        marks = self.question.count(IMAGE_MARK)
        if marks != len(self.images):
            raise DataError(
                f"problem {self.id} has {len(self.images)} images but {marks} {IMAGE_MARK} marks in its question; "
                "they must agree"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one side said in a dialogue, with one `<image>` mark per image that it showed."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Dialogue:
    """Turns that somebody waits for an answer to: what `ask` and `serve` put to a model, where training has a problem.

    Attributes:
        images: Of all turns, in order.
    """

    id: str
    turns: tuple[Turn, ...]
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a problem's prompt length depends on, had without decoding a pixel.

    Attributes:
        id: The problem's.
        question: Text with one `<image>` mark per image, in order.
        image_sizes: (height, width) of each image in pixels, as it will be decoded.

    Raises:
        DataError: marks and sizes differ in number.
    """

    id: str
    question: str
    image_sizes: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        marks = self.question.count(IMAGE_MARK)
        if marks != len(self.image_sizes):
            raise DataError(
                f"problem {self.id} has {len(self.image_sizes)} images but {marks} {IMAGE_MARK} marks in its question; "
                "they must agree"
            )


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True, kw_only=True)
class Prompt:
    """One problem under one template, as the model reads it; one object shared by all siblings of a group.

    Attributes:
        token_ids: Expanded ids: each image already stands as its run of placeholders.
        images: The images, in the order of their placeholder runs.
        text: The rendered template with one placeholder mark per image, for people.
    """

    problem_id: str
    token_ids: Int64[np.ndarray, " prompt"]
    images: tuple[Image, ...]
    text: str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Completion:
    """What an engine sampled for one sample of one request. The request's prefix is not repeated here.

    Attributes:
        request_id: The request it answers.
        sample: Index among the request's samples.
        token_ids: Sampled ids, the end token included when `finish_reason` is "stop".
        logprobs: Log-probability of each sampled id at temperature 1, before top-p, top-k and forbidden ids (nats).
        policy_version: Version of the weights that sampled it.
    """

    request_id: str
    sample: int
    token_ids: Int64[np.ndarray, " tokens"]
    logprobs: Float32[np.ndarray, " tokens"]
    finish_reason: FinishReason
    policy_version: int


class Outcome(StrEnum):
    """How the scoring of one response ended. Only `OK` is right; the last three are counted apart, never hidden."""

    OK = "ok"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TIMEOUT = "timeout"
    ERROR = "error"


NO_VERDICT = (Outcome.UNPARSED, Outcome.TIMEOUT, Outcome.ERROR)
"""Outcomes that say nothing of whether the response was right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The score of one response.

    Attributes:
        outcome: How scoring ended.
        reward: In [0, 1]; 0 for every outcome but a partial or full score of the verifier.
        extracted: The final answer found in the response, None if there was none.
        detail: Why, for people: an error's message, what was compared.
    """

    outcome: Outcome
    reward: float
    extracted: str | None
    detail: str = ""

    @property
    def correct(self) -> bool:
        """Whether the response counts as right."""
        return self.outcome is Outcome.OK


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Rollout:
    """A scored response.

    Attributes:
        sample: Index within its group.
        token_ids: Response ids, spliced as sampled (never re-tokenised text).
        logprobs: Behaviour log-probabilities (nats); 0 at forced positions, where nothing was sampled.
        forced: True where a token was put there, not sampled (a rethinking trigger).
        text: The decoded response.
    """

    prompt: Prompt
    sample: int
    token_ids: Int64[np.ndarray, " tokens"]
    logprobs: Float32[np.ndarray, " tokens"]
    forced: Bool[np.ndarray, " tokens"]
    text: str
    finish_reason: FinishReason
    policy_version: int
    verdict: Verdict


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Rethought(Rollout):
    """A rollout made by a forced second look that was kept: first response ⊕ trigger ⊕ second look.

    Attributes:
        first: The rollout it replaces in its group.
        trigger: The trigger's text.
        trigger_span: [start, end) of the forced trigger tokens; the second look is what follows.
    """

    first: Rollout
    trigger: str
    trigger_span: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One problem and its G scored responses, all of one prompt.

    Attributes:
        round: Round of the sampler that met the problem, counted over the whole run; with the problem id and the sample
            it keys every draw of a rollout.
    """

    problem: Problem
    rollouts: tuple[Rollout, ...]
    round: int = 0

    @property
    def rewards(self) -> Float32[np.ndarray, " group"]:
        """Rewards in sample order."""
        return np.array([rollout.verdict.reward for rollout in self.rollouts], dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a record says of a response's problem, without its images.

    Attributes:
        question: Text with one `<image>` mark per image.
        answer: The right answer.
        category: What the problem is about.
        source: Where it comes from.
    """

    question: str
    answer: str
    category: str
    source: str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Experience:
    """A rollout with its credit: all the learner needs to know, and what its record says of its problem.

    Attributes:
        advantage: Â of the response.
        rl: Per-token weight w of the policy term; 0 at forced tokens (ALGORITHM: normalisation).
        imitation: Per-token weight of the imitation term; non-zero only on a kept second look.
        old: The learner's log-probs before the episode's first update (nats); None where the engine's, on the rollout,
            are the same.
        penalty: What the response's length took from its reward before the advantage, 0 or less; None where lengths
            cost nothing.
        about: Its problem; None where nothing is recorded (the warm start).
    """

    rollout: Rollout
    advantage: float
    rl: Float32[np.ndarray, " tokens"]
    imitation: Float32[np.ndarray, " tokens"]
    old: Float32[np.ndarray, " tokens"] | None = None
    penalty: float | None = None
    about: About | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A metric before it is logged: a sum and what it is divided by, so that parts merge exactly."""

    sum: float
    count: float = 1.0

    def __add__(self, other: Mean) -> Mean:
        """Merge two parts of one mean."""
        return Mean(sum=self.sum + other.sum, count=self.count + other.count)

    @property
    def value(self) -> float | None:
        """The mean, None when nothing was counted."""
        return self.sum / self.count if self.count else None


Metrics = dict[str, Mean]
"""Metrics by their published name (`policy/loss`, …)."""

State = dict[str, Any]
"""What `state_dict` returns: JSON values, numpy arrays, torch tensors and the types of this module, nested."""


def merge(*parts: Metrics) -> Metrics:
    """Add metrics name by name."""
    merged: Metrics = {}
    for part in parts:
        for name, mean in part.items():
            merged[name] = merged[name] + mean if name in merged else mean
    return merged
