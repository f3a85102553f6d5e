"""What an episode asks for: how many prompts, how long responses are, and how updates are cut."""

from __future__ import annotations

from dataclasses import dataclass

from rethinker.planning.compute import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Lengths of responses, of which a share (1 − t / longest)ᵏ is longer than t: k follows from the mean.

    With a mean of half the longest they are uniform (k = 1); real responses have a longer tail (k = 3 to 7).
    """

    mean: float
    longest: float

    @property
    def _power(self) -> float:
        return self.longest / self.mean - 1

    def longer(self, tokens: float) -> float:
        """Share of responses longer than this."""
        left = max(0.0, 1 - tokens / self.longest)
        return left**self._power if left else 0.0

    def longest_of(self, responses: float) -> float:
        """The length that one in so many responses exceeds."""
        if self._power <= 0:
            return self.longest
        return self.longest * (1 - max(1.0, responses) ** (-1 / self._power))

    @property
    def age(self) -> float:
        """Mean tokens of those that are being written at a time, longer ones being there longer."""
        return self.longest / (self._power + 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An episode: what one policy generates, and the updates it is learned in.

    Attributes:
        queries: Prompts sampled from.
        updates: Optimiser steps over them.
        first: Lengths of first looks, one for each of `queries` × `group_size`.
        looks: Second looks.
        update: What one update learns from.
        together: Responses that pass the learner with one copy of their prompt.
        micro_batch_tokens: Most tokens of one forward and backward.
        scorings: Forwards over everything besides updates: for the learner's own log-probs, for a reference.
        width: Bytes of one weight.
        gradient_width: Bytes of one gradient.
        verify_workers: Processes that verify.
        images: Images that are prepared ahead, while GPUs work, in each of `readers` threads in turn.
        images_awaited: Images that a process prepares while GPUs wait for it.
    """

    queries: int
    group_size: int
    updates: int
    first: Lengths
    looks: float = 0.0
    look: Lengths | None = None
    update: Step
    together: int
    micro_batch_tokens: int
    checkpointed: bool
    scorings: int = 1
    width: int = 2
    gradient_width: int = 4
    verify_workers: int = 1
    images: float = 0.0
    readers: int = 1
    images_awaited: float = 0.0

    @property
    def responses(self) -> int:
        """First looks."""
        return self.queries * self.group_size

    @property
    def dtype(self) -> str:
        """The weights' type."""
        return "bfloat16" if self.width == 2 else "float32"

    @property
    def tokens(self) -> float:
        """Tokens of an episode as peers count them: each response with its prompt."""
        update = self.update
        return self.updates * update.responses * (update.prompt_tokens + update.response_tokens)
