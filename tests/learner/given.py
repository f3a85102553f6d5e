"""Experience for the learner, made from nothing but a seed."""

from __future__ import annotations

import numpy as np
from tests.conftest import copied

from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.vlm import VLM
from rethinker.types import Experience, Image, Outcome, Problem, Prompt, Rollout, Verdict

VERDICT = Verdict(outcome=Outcome.WRONG, reward=0.0, extracted=None)


def prompts(vlm: VLM) -> tuple[Prompt, Prompt]:
    """One with a picture, one without."""
    pixels = np.random.default_rng(1).integers(0, 256, (56, 84, 3), dtype=np.uint8)
    shown = Problem(
        id="shown", images=(Image(pixels=pixels),), question="<image>How many?", answer="3", verifier="number"
    )
    told = Problem(id="told", images=(), question="How many is 1 + 2?", answer="3", verifier="number")
    return vlm.encode(shown, "plain"), vlm.encode(told, "plain")


def experience(
    prompt: Prompt, *, sample: int, length: int, advantage: float, logprobs: np.ndarray | None = None, version: int = 0
) -> Experience:
    rng = np.random.default_rng(sample)
    behaviour = -rng.uniform(5.8, 6.6, length) if logprobs is None else logprobs
    rollout = Rollout(
        prompt=prompt,
        sample=sample,
        token_ids=rng.integers(20, 400, length),
        logprobs=behaviour.astype(np.float32),
        forced=np.zeros(length, dtype=np.bool_),
        text="",
        finish_reason="stop",
        policy_version=version,
        verdict=VERDICT,
    )
    copied_part = np.arange(length) >= length // 2 if sample % 2 else np.zeros(length, dtype=bool)
    return Experience(
        rollout=rollout,
        advantage=advantage,
        rl=np.full(length, 1 / length, dtype=np.float32),
        imitation=(copied_part / max(1, copied_part.sum())).astype(np.float32),
    )


def batch(vlm: VLM) -> list[Experience]:
    """Two prompts, five responses of different lengths."""
    shown, told = prompts(vlm)
    made = [(shown, 0, 7, 0.5), (shown, 1, 12, -0.5), (told, 2, 5, 0.25), (told, 3, 9, 0.75), (shown, 4, 3, -1.0)]
    return [experience(prompt, sample=s, length=n, advantage=a) for prompt, s, n, a in made]


def learner(
    vlm: VLM,
    *,
    reference: VLM | None = None,
    kl: float = 0.0,
    objective: Objective | None = None,
    **settings: float | bool,
) -> PolicyLearner:
    """A learner with weights of its own."""
    return PolicyLearner(
        copied(vlm),
        objective=objective or Objective(imitation_coefficient=0.05, kl_coefficient=kl),
        optimisation=Optimisation(**({"steps": 10, "lr": 1e-3, "grad_clip": 1e9} | settings)),
        reference=reference,
    )
