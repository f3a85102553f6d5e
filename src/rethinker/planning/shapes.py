"""The numbers that memory and time are computed from: a model's shape and an update's. No torch, no configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FLOAT32 = 4
"""Bytes of a float32: optimiser state of adapters, norms and scores whatever the weights' type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Transformer layers of one shape.

    Attributes:
        inner: Width inside the feed-forward part.
        gated: Whether that part multiplies two projections (SwiGLU).
        queries: Width of all query heads together.
        keys: Width of all key heads together; equal to `queries` without grouping.
        weights: Parameters of one layer.
        trained: Whether its own weights are trained.
        adapted: Linear layers of one layer that carry an adapter, as (inputs, rank).
    """

    layers: int
    width: int
    inner: int
    gated: bool
    heads: int
    queries: int
    keys: int
    weights: int
    trained: bool
    adapted: tuple[tuple[int, int], ...] = ()

    @property
    def learns(self) -> bool:
        """Whether anything in it is trained."""
        return self.trained or bool(self.adapted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Weights of one part: how many, how many of them trained, and how many of those are an adapter's."""

    total: int
    trained: int
    adapter: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A model's shape.

    Attributes:
        vision: None for a text-only model.
        patches_per_token: Patches of the image encoder that become one token of the prompt.
        patch: Side of a patch, in pixels.
        pixels_per_patch: Values of a patch as the processor makes it.
        parameters: By part.
    """

    language: Stack
    vision: Stack | None
    vocabulary: int
    patches_per_token: int
    patch: int
    pixels_per_patch: int
    parameters: Mapping[str, Parameters]

    def image_tokens(self, pixels: int) -> int:
        """Tokens that an image of so many pixels becomes."""
        return pixels // (self.patch**2 * self.patches_per_token)

    @property
    def total(self) -> Parameters:
        """All parts together."""
        parts = self.parameters.values()
        return Parameters(
            total=sum(part.total for part in parts),
            trained=sum(part.trained for part in parts),
            adapter=sum(part.adapter for part in parts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """One forward of the learner, all prompts of one length and all responses of one length: the worst case.

    Attributes:
        prompts: Prompts, each standing once.
        responses: Responses of all prompts together.
        image_tokens: Of each prompt, tokens that stand for images.
        tables: Whether attention is by tables, as on a CPU: each response then has a copy of its prompt's keys, and a
            mask.
    """

    prompts: int
    prompt_tokens: int
    responses: int
    response_tokens: int
    image_tokens: int
    tables: bool = False

    @property
    def tokens(self) -> int:
        """Tokens that pass the language model."""
        return self.prompts * self.prompt_tokens + self.answered

    @property
    def answered(self) -> int:
        """Tokens of responses, whose scores are computed."""
        return self.responses * self.response_tokens

    @property
    def copied(self) -> int:
        """Places in the tables of keys: each response has a copy of its prompt's before its own."""
        return self.responses * (self.prompt_tokens + self.response_tokens) if self.tables else 0


def responses_together(*, prompt_tokens: int, response_tokens: int, group_size: int, shared: bool, budget: int) -> int:
    """Responses of a group that pass with one copy of their prompt (see `learner.micro_batches`).

    Args:
        shared: Whether a group's prompt stands once or once per response.
        budget: `learner.micro_batch_tokens`.
    """
    responses = group_size if shared else 1
    while responses > 1 and prompt_tokens + responses * response_tokens > budget:
        responses = -(-responses // 2)
    return responses


def fullest(
    *, prompt_tokens: int, response_tokens: int, image_tokens: int, group_size: int, shared: bool, budget: int
) -> list[MicroBatch]:
    """The largest forwards that the learner may make: for each number of prompts, responses that fill the budget.

    As long responses as there may be seldom fill it; somewhat shorter ones do. Only a response that is alone with its
    prompt goes beyond it.

    Args:
        prompt_tokens: The longest prompt.
        response_tokens: The longest response.
        shared: Whether a group's prompt stands once or once per response.
        budget: `learner.micro_batch_tokens`.
    """
    found = []
    for prompts in range(1, max(1, budget // (prompt_tokens + 1)) + 1):
        room = budget // prompts - prompt_tokens
        responses = min(group_size if shared else 1, max(1, -(-room // response_tokens)))
        length = response_tokens if prompts == responses == 1 else min(response_tokens, room // responses)
        found.append(
            MicroBatch(
                prompts=prompts,
                prompt_tokens=prompt_tokens,
                responses=prompts * responses,
                response_tokens=length,
                image_tokens=image_tokens,
            )
        )
    return found
