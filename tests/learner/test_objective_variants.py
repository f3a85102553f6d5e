"""What each objective makes of an update: the same gradient however it is cut, and its part where policies differ."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests import plain
from tests.learner.given import batch, learner

from rethinker.learner.learner import Objective, PolicyLearner
from rethinker.models.vlm import VLM
from rethinker.types import Experience, Metrics

VARIANTS = {
    "clip": Objective(),
    "dual_clip": Objective(dual_clip=1.5),
    "gspo": Objective(ratio="sequence", clip_low=0.05, clip_high=0.05),
    "dr_grpo": Objective(divisor=16),
    "entropy": Objective(entropy_coefficient=10.0),
    "all": Objective(ratio="sequence", dual_clip=1.5, divisor=16, entropy_coefficient=0.1, imitation_coefficient=0.05),
}


def shifted(vlm: VLM, *, by: float = 0.8) -> list[Experience]:
    """Experience of a policy that is not the current one: old log-probs up to `by` nats off, each token its own way."""
    chosen = batch(vlm)
    own, rng = learner(vlm).token_logprobs(chosen), np.random.default_rng(0)
    return [
        replace(e, rollout=replace(e.rollout, logprobs=(p + rng.uniform(-by, by, len(p))).astype(np.float32)))
        for e, p in zip(chosen, own, strict=True)
    ]


def by_token(chosen: list[Experience]) -> list[Experience]:
    """With the weights that a constant divisor goes with."""
    return [replace(e, rl=np.ones_like(e.rl), imitation=(e.imitation > 0).astype(np.float32)) for e in chosen]


def updated(
    vlm: VLM, chosen: list[Experience], objective: Objective, **settings: float
) -> tuple[torch.Tensor, Metrics]:
    """The gradient of an update, and what was said of it."""
    made = learner(vlm, objective=objective, **settings)
    metrics = made.update(chosen)
    return gradient(made), metrics


def gradient(made: PolicyLearner) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in made.vlm.module.parameters() if p.grad is not None]).double()


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("variant", VARIANTS)
def test_any_cut_into_micro_batches_gives_the_same_gradient_and_figures(tiny_vlm: VLM, variant: str) -> None:
    objective = VARIANTS[variant]
    chosen = by_token(shifted(tiny_vlm)) if objective.divisor else shifted(tiny_vlm)
    chosen.append(chosen[0])  # a redraw
    whole, said = updated(tiny_vlm, chosen, objective, micro_batch_tokens=100_000)
    for settings in ({"micro_batch_tokens": 150}, {"micro_batch_tokens": 1}, {"share_prompts": False}):
        found, its = updated(tiny_vlm, chosen, objective, **settings)
        assert far(found, whole) < 1e-4
        assert its.keys() == said.keys()
        for name in ("loss", "ratio_mean", "clip_fraction", "dual_clip_fraction", "entropy", "grad_norm"):
            if f"policy/{name}" in said:
                assert its[f"policy/{name}"].value == pytest.approx(said[f"policy/{name}"].value, rel=1e-4), name


@pytest.mark.parametrize("variant", ["dual_clip", "gspo"])
def test_off_policy_a_ratio_has_its_say(tiny_vlm: VLM, variant: str) -> None:
    chosen = shifted(tiny_vlm)
    found, plainly = (updated(tiny_vlm, chosen, each)[0] for each in (VARIANTS[variant], Objective()))
    assert far(found, plainly) > 1e-2


@pytest.mark.parametrize("variant", ["dual_clip", "gspo"])
def test_on_policy_a_ratio_has_no_say(tiny_vlm: VLM, variant: str) -> None:
    chosen = shifted(tiny_vlm, by=0.0)
    found, plainly = (updated(tiny_vlm, chosen, each)[0] for each in (VARIANTS[variant], Objective()))
    assert far(found, plainly) < 1e-4


def test_a_sequence_ratio_is_steadier_than_those_of_its_tokens(tiny_vlm: VLM) -> None:
    """Over a whole response the tokens' shifts cancel, so with one clip range fewer tokens are held back."""
    chosen = shifted(tiny_vlm)
    by_sequence, each = (updated(tiny_vlm, chosen, Objective(ratio=ratio))[1] for ratio in ("sequence", "token"))
    assert 0 <= by_sequence["policy/clip_fraction"].sum < each["policy/clip_fraction"].sum


def test_what_the_dual_clip_held_is_counted(tiny_vlm: VLM) -> None:
    chosen = shifted(tiny_vlm)
    made = learner(tiny_vlm, objective=VARIANTS["dual_clip"])
    own = made.token_logprobs(chosen)
    beyond = sum(
        int((p - e.rollout.logprobs > math.log(1.5)).sum()) for e, p in zip(chosen, own, strict=True) if e.advantage < 0
    )
    metrics = made.update(chosen)
    assert beyond > 0
    assert metrics["policy/dual_clip_fraction"].sum == beyond
    assert metrics["policy/dual_clip_fraction"].count == sum(len(e.rl) for e in chosen)
    assert "policy/dual_clip_fraction" not in learner(tiny_vlm).update(chosen)


def test_a_constant_divisor_gives_a_token_the_same_say_in_short_and_long_responses(tiny_vlm: VLM) -> None:
    """Alone, a response's loss is −Â times its length over the constant; beside another one, half of it."""
    short, long, *_ = by_token(shifted(tiny_vlm, by=0.0))
    for each, tokens in ((short, 7), (long, 12)):
        loss = updated(tiny_vlm, [each], Objective(divisor=16))[1]["policy/loss"].value
        assert loss == pytest.approx(-each.advantage * tokens / 16, rel=1e-3)
    both = updated(tiny_vlm, [short, long], Objective(divisor=16))[1]["policy/loss"].value
    assert both == pytest.approx((-0.5 * 7 + 0.5 * 12) / 16 / 2, rel=1e-3)


def test_the_entropy_bonus_raises_the_entropy_that_is_logged(tiny_vlm: VLM) -> None:
    chosen = [replace(e, advantage=0.0) for e in batch(tiny_vlm)]
    made = learner(tiny_vlm, objective=Objective(entropy_coefficient=0.1), warmup=0.0)
    seen = [made.update(chosen)["policy/entropy"].value for _ in range(4)]
    assert seen == sorted(seen)
    assert seen[0] < seen[-1]


@pytest.mark.parametrize("chunk", [None, 5], ids=["in one chunk", "chunked"])
def test_the_entropy_bonus_has_the_gradient_of_the_plain_entropy(
    tiny_vlm: VLM, chunk: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if chunk is not None:
        monkeypatch.setattr("rethinker.learner.logprobs._CHUNK_SCORES", chunk * tiny_vlm.vocabulary)
    chosen = [replace(e, advantage=0.0) for e in batch(tiny_vlm)]
    found, _ = updated(tiny_vlm, chosen, Objective(entropy_coefficient=0.1))
    made = learner(tiny_vlm)
    made.vlm.module.train()
    for each in chosen:
        entropy = plain.entropy(made.vlm, each.rollout.prompt, each.rollout.token_ids)
        (-0.1 * entropy.mean() / len(chosen)).backward()
    assert far(found, gradient(made)) < 1e-4


def test_what_weighs_nothing_neither_passes_the_model_nor_counts(tiny_vlm: VLM) -> None:
    first, *others = shifted(tiny_vlm)
    nothing = replace(first, rl=np.zeros_like(first.rl), imitation=np.zeros_like(first.imitation), advantage=0.0)
    found, said = updated(tiny_vlm, [nothing, *others], Objective())
    without, _ = updated(tiny_vlm, others, Objective())
    assert far(found, without) == 0
    assert said["policy/ratio_mean"].count == sum(len(e.rl) for e in others)
    assert learner(tiny_vlm).update([nothing])["policy/skipped"].value == 1
