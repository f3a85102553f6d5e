"""Rollouts and experience with just enough in them for the algorithms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rethinker.types import Experience, FinishReason, Group, Outcome, Problem, Prompt, Rethought, Rollout, Verdict

END = 2
PROBLEM = Problem(id="p1", images=(), question="How many?", answer="3", verifier="number")
PROMPT = Prompt(problem_id="p1", token_ids=np.arange(10, 15), images=(), text="How many?")


def verdict(reward: float) -> Verdict:
    outcome = Outcome.OK if reward >= 1 else Outcome.WRONG
    return Verdict(outcome=outcome, reward=reward, extracted="3" if reward >= 1 else "4")


def rollout(*, reward: float = 0.0, sample: int = 0, length: int = 3, finish: FinishReason = "stop") -> Rollout:
    tokens = np.full(length, 40)
    if finish == "stop" and length:
        tokens[-1] = END
    return Rollout(
        prompt=PROMPT,
        sample=sample,
        token_ids=tokens,
        logprobs=np.full(length, -0.5, dtype=np.float32),
        forced=np.zeros(length, dtype=bool),
        text="",
        finish_reason=finish,
        policy_version=0,
        verdict=verdict(reward),
    )


def rethought(
    *, first: Rollout, reward: float = 1.0, trigger: int = 2, second: int = 4, finish: FinishReason = "stop"
) -> Rethought:
    """`first` without its end token ⊕ `trigger` forced tokens ⊕ `second` sampled tokens."""
    body = len(first.token_ids) - 1
    forced = np.zeros(body + trigger + second, dtype=bool)
    forced[body : body + trigger] = True
    tokens = np.concatenate([first.token_ids[:-1], np.full(trigger, 50), np.full(second, 60)])
    return Rethought(
        prompt=first.prompt,
        sample=first.sample,
        token_ids=tokens,
        logprobs=np.where(forced, 0.0, -0.25).astype(np.float32),
        forced=forced,
        text="",
        finish_reason=finish,
        policy_version=0,
        verdict=verdict(reward),
        first=first,
        trigger="\n\nWait, does it seem right?",
        trigger_span=(body, body + trigger),
    )


def group(rollouts: Sequence[Rollout]) -> Group:
    return Group(problem=PROBLEM, rollouts=tuple(rollouts))


def experience(advantage: float, *, of: Rollout | None = None) -> Experience:
    made = of or rollout()
    weights = np.full(len(made.token_ids), 1.0, dtype=np.float32)
    return Experience(rollout=made, advantage=advantage, rl=weights, imitation=np.zeros_like(weights))


def batch(*advantages: float) -> list[Experience]:
    return [experience(advantage) for advantage in advantages]
