"""The warm start of the tiny VLM: perception and worked answers first, then the habits of a base that thinks fast.

Supervised, with the learner's own collate and forward; RL needs a base that already can what it seldom does. Muon on
the matrices and AdamW on the rest, because perception from nothing is the slow part and Muon learns it in far fewer
updates (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rethinker.algo.forcing import TRIGGERS
from rethinker.algo.objectives import imitation, weighted_mean
from rethinker.data.gym.catalogue import GymId, as_problem, scene
from rethinker.data.gym.scene import Scene
from rethinker.learner.collate import Batch, collate
from rethinker.learner.logprobs import token_logprobs
from rethinker.learner.micro_batches import split
from rethinker.learner.worked import (
    Example,
    corpus,
    direct_example,
    second_look_example,
    splice,
    worked_example,
)
from rethinker.models.templates import SUFFIXES, Template
from rethinker.models.tiny import build_model, build_processor, build_tokenizer
from rethinker.models.vlm import VLM
from rethinker.seeding import Purpose, generator, key
from rethinker.types import Experience, Outcome, Rollout, Verdict

GIVEN = Verdict(outcome=Outcome.OK, reward=1.0, extracted=None, detail="a given answer")


Style = Callable[["WarmupPlan", Scene, np.random.Generator], Example]
"""Chooses how one scene is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupPlan:
    """How long, on what, and in which proportions.

    Attributes:
        mixture: (family, level) pairs, drawn uniformly.
        perception_steps: Updates on worked answers alone.
        habit_steps: Updates on the mixture of styles.
        direct_share: Of the habit examples, direct answers.
        direct_skill_share: Of the direct answers, those whose answer is learned, not their beginning alone.
        second_look_share: Of the habit examples, second looks; the rest are worked answers.
        trigger_share: Of the second looks, those whose trigger is learned too.
    """

    seed: int = 0
    mixture: tuple[tuple[str, int], ...] = (("counting", 1), ("bars", 1), ("spatial", 1))
    template: Template = "plain"
    examples: int = 64
    perception_steps: int = 1200
    perception_lr: float = 3e-3
    habit_steps: int = 400
    habit_lr: float = 2e-3
    direct_share: float = 0.55
    direct_skill_share: float = 0.15
    second_look_share: float = 0.38
    trigger_share: float = 0.07
    micro_batch_tokens: int = 16_384


def fresh(plan: WarmupPlan) -> VLM:
    """An untrained tiny VLM whose tokenizer is trained on the mixture's texts."""
    scenes = [_scene(plan, -1 - number)[1] for number in range(600)]
    tokenizer = build_tokenizer(corpus(scenes, list(SUFFIXES.values()), list(TRIGGERS.values())))
    seed = key(plan.seed, Purpose.WARMUP) % 2**63
    return VLM(build_model(tokenizer, seed=seed), build_processor(tokenizer))


def warm_up(vlm: VLM, plan: WarmupPlan, report: Callable[[int, float], None], *, perceived: bool = False) -> None:
    """Train in place, one phase after the other, each with fresh optimisers.

    Args:
        report: Called after each update with the step and the mean loss per learned token (nats).
        perceived: The weights have been through the first phase already; do the second alone, as it would have been.
    """
    vlm.module.train()
    if not perceived:
        _phase(vlm, plan, worked_only, steps=plan.perception_steps, peak=plan.perception_lr, report=report)
    _phase(vlm, plan, styled, steps=plan.habit_steps, peak=plan.habit_lr, after=plan.perception_steps, report=report)


def _phase(
    vlm: VLM,
    plan: WarmupPlan,
    style: Style,
    *,
    steps: int,
    peak: float,
    report: Callable[[int, float], None],
    after: int = 0,
) -> None:
    optimizers = _optimizers(vlm)
    for done in range(steps):
        step = after + done
        rate = peak * _ramp(done, steps)
        for optimizer, scale in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * scale
        numbers = range(step * plan.examples, (step + 1) * plan.examples)
        loss = _accumulate(vlm, [_experience(vlm, plan, number, style) for number in numbers], plan.micro_batch_tokens)
        torch.nn.utils.clip_grad_norm_(vlm.module.parameters(), 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        report(step + 1, loss)


def _ramp(done: int, steps: int) -> float:
    """Linear up over 50 updates, flat, linear down over the last two fifths to a twentieth."""
    return max(0.05, min(1.0, (done + 1) / 50, (steps - done) / (0.4 * steps)))


def _optimizers(vlm: VLM) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the matrices inside the network, AdamW at a third of its rate for embeddings, norms and the rest."""
    embedded = {id(vlm.module.get_input_embeddings().weight), id(vlm.module.get_output_embeddings().weight)}
    matrices = [p for p in vlm.module.parameters() if p.ndim == 2 and id(p) not in embedded]
    inside = {id(p) for p in matrices}
    rest = [p for p in vlm.module.parameters() if id(p) not in inside]
    return [
        (torch.optim.Muon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"), 1.0),
        (torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=0.0, fused=True), 1 / 3),
    ]


def _accumulate(vlm: VLM, examples: Sequence[Experience], budget: int) -> float:
    """Forward and backward of one update; the mean loss per learned token."""
    total = float(sum(e.imitation.sum() for e in examples))
    summed = 0.0
    for micro in split(examples, vlm, share_prompts=True, token_budget=budget):
        batch: Batch = collate(micro, vlm, policy_version=0)
        loss: Tensor = weighted_mean(imitation(token_logprobs(vlm, batch)[0]), batch.imitation, total=total)
        loss.backward()
        summed += float(loss.detach())
    return summed


def _experience(vlm: VLM, plan: WarmupPlan, number: int, style: Style) -> Experience:
    """Example `number`, as a rollout that was given, not sampled."""
    gym_id, painted = _scene(plan, number)
    rng = generator(plan.seed, Purpose.WARMUP, step=number, problem_id="style")
    ids, learned = splice(style(plan, painted, rng), vlm.tokenize, vlm.eos_ids[0])
    prompt = vlm.encode(as_problem(gym_id, painted), plan.template)
    zeros = np.zeros(len(ids), dtype=np.float32)
    rollout = Rollout(
        prompt=prompt,
        sample=0,
        token_ids=ids,
        logprobs=zeros,
        forced=np.ones(len(ids), dtype=np.bool_),
        text="",
        finish_reason="stop",
        policy_version=0,
        verdict=GIVEN,
    )
    return Experience(rollout=rollout, advantage=0.0, rl=zeros, imitation=learned.astype(np.float32))


def _scene(plan: WarmupPlan, number: int) -> tuple[GymId, Scene]:
    rng = generator(plan.seed, Purpose.WARMUP, step=number, problem_id="scene")
    family, level = plan.mixture[int(rng.integers(len(plan.mixture)))]
    gym_id = GymId(family=family, level=level, split="train", index=int(rng.integers(2**40)))
    return gym_id, scene(gym_id)


def worked_only(_plan: WarmupPlan, painted: Scene, _rng: np.random.Generator) -> Example:
    """The first phase: nothing but worked answers."""
    return worked_example(painted)


def styled(plan: WarmupPlan, painted: Scene, rng: np.random.Generator) -> Example:
    """The second phase: the three styles in the plan's proportions."""
    luck = rng.random()
    if luck < plan.direct_share:
        return direct_example(painted, rng, skill_share=plan.direct_skill_share)
    if luck < 1 - plan.second_look_share:
        return worked_example(painted)
    trigger = list(TRIGGERS.values())[int(rng.integers(len(TRIGGERS)))]
    return second_look_example(painted, rng, trigger=trigger, habit_share=plan.trigger_share)
