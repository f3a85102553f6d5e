"""Updates of any shape: groups of unequal size, one token or many, images or none, redraws, weights of nothing.

A response is drawn as numbers first, so that the same update can be made for several models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from tests.learner.given import experience

from rethinker.types import Experience, Prompt

VERSION = 1

Weighing = str
"""What of a response is in the policy component: `all`, `none`, or `second` where a forced stretch is in its middle."""


@dataclass(frozen=True)
class Response:
    """One response of an update.

    `old` and `behaviour` say how far those log-probs are from a token's current ones at most; `times` how often it
    was chosen.
    """

    length: int
    advantage: float
    weighing: Weighing
    imitated: bool
    old: float
    behaviour: float | None
    stale: bool
    times: int


Shape = list[tuple[int, list[Response]]]
"""By group the number of its prompt and its responses."""

responses = st.builds(
    Response,
    length=st.one_of(st.just(1), st.integers(1, 14)),
    advantage=st.sampled_from([0.0, 0.875, -0.125, 0.5, -1.0, 2.5]),
    weighing=st.sampled_from(["all", "all", "forced", "none"]),
    imitated=st.booleans(),
    old=st.sampled_from([0.0, 0.1, 0.8]),
    behaviour=st.sampled_from([None, 0.0, 0.6]),
    stale=st.booleans(),
    times=st.sampled_from([1, 1, 1, 2, 4]),  # three times a float32 weight is rounded, which float64 would show
)


def shapes(prompts: int) -> st.SearchStrategy[Shape]:
    """Of so many prompts, each shared by 1 to 4 responses or not there."""
    group = st.tuples(st.integers(0, prompts - 1), st.lists(responses, min_size=1, max_size=4))
    return st.lists(group, min_size=1, max_size=prompts, unique_by=lambda each: each[0])


def made(shape: Shape, prompts: Sequence[Prompt], *, ids: int, normalise: bool = True) -> list[Experience]:
    """The experiences of a shape, with log-probs that are still to be told (`placed`).

    Args:
        ids: Token ids are below this.
        normalise: Whether a response's tokens weigh 1 together, or each.
    """
    numbered = [(prompts[place], response) for place, group in shape for response in group]
    return [_one(prompt, n, each, ids=ids, normalise=normalise) for n, (prompt, each) in enumerate(numbered)]


def _one(prompt: Prompt, number: int, response: Response, *, ids: int, normalise: bool) -> Experience:
    length = response.length
    given = experience(prompt, sample=number, length=length, advantage=response.advantage)
    forced = np.zeros(length, dtype=np.bool_)
    if response.weighing == "forced":
        forced[length // 3 : 1 + 2 * length // 3] = True
    counted = ~forced & (response.weighing != "none")
    copied = np.full(length, response.imitated) & (np.arange(length) >= length // 3)
    rollout = replace(
        given.rollout,
        token_ids=given.rollout.token_ids % (ids - 20) + 20,
        forced=forced,
        policy_version=VERSION - response.stale,
    )
    return replace(given, rollout=rollout, rl=_spread(counted, normalise), imitation=_spread(copied, normalise))


def _spread(counted: np.ndarray, normalise: bool) -> np.ndarray:
    share = 1 / max(1, int(counted.sum())) if normalise else 1.0
    return np.where(counted, share, 0.0).astype(np.float32)


def placed(shape: Shape, experiences: Sequence[Experience], current: Sequence[np.ndarray]) -> list[Experience]:
    """What is chosen, redraws included, with old and behaviour log-probs as far from the current ones as was drawn."""
    drawn = [response for _, group in shape for response in group]
    chosen = []
    for number, (each, response, now) in enumerate(zip(experiences, drawn, current, strict=True)):
        rng = np.random.default_rng(number)
        old = (now + response.old * rng.uniform(-1, 1, len(now))).astype(np.float32)
        behaviour, asked = old, None
        if response.behaviour is not None:
            behaviour = (old + response.behaviour * rng.uniform(-1, 1, len(now))).astype(np.float32)
            asked = old
        rollout = replace(each.rollout, logprobs=np.where(each.rollout.forced, 0, behaviour).astype(np.float32))
        chosen += [replace(each, rollout=rollout, old=asked)] * response.times
    return chosen
