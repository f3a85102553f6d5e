"""However an update is packed, shared, cut and checkpointed: the gradient of plain forwards one by one, in float64.

In double precision the ways of adding differ by 1e-15, so a mistake of any size shows: a neighbour seen, a position off
by one, a weight taken twice, a token left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests import plain
from tests.learner import updates
from tests.learner.updates import VERSION, Shape
from tests.models import toys
from tests.models.checks import problem

from rethinker.algo.objectives import (
    clipped_surrogate,
    imitation,
    importance_weights,
    k3,
    sequence_log_ratio,
    token_log_ratio,
)
from rethinker.learner import logprobs as scoring
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.adapters import recompute_activations
from rethinker.models.vlm import VLM
from rethinker.types import Experience, Prompt

FAMILIES = ("Qwen2.5-VL", "Qwen3-VL", "Gemma 3")
SAME = 1e-9
"""Relative to the norm of the whole gradient."""

ALL = {"imitation_coefficient": 0.3, "kl_coefficient": 0.2, "entropy_coefficient": 0.1}
OBJECTIVES = {
    "clip": Objective(correction="token", **ALL),
    "gspo": Objective(ratio="sequence", clip_low=0.05, clip_high=0.05, correction="sequence", **ALL),
    "dr_grpo, dual clip": Objective(dual_clip=1.5, divisor=16, **ALL),
}


@dataclass(frozen=True)
class Cut:
    """How the learner does its work."""

    share: bool
    budget: int
    chunk: int
    checkpointed: bool


CUTS = st.builds(
    Cut,
    share=st.booleans(),
    budget=st.sampled_from([1, 60, 150, 100_000]),
    chunk=st.sampled_from([3, 1_000]),
    checkpointed=st.booleans(),
)


class Doubled(torch.nn.Module):
    """A norm that Hugging Face computes in float32, whatever its input: its rounding would hide what is looked for."""

    def __init__(self, norm: torch.nn.Module, *, offset: float) -> None:
        super().__init__()
        self.weight, self.offset = norm.weight, offset
        self.eps = getattr(norm, "variance_epsilon", None) or norm.eps

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        scale = torch.rsqrt(hidden.square().mean(-1, keepdim=True) + self.eps)
        return hidden * scale * (self.weight + self.offset)


@cache
def double(name: str, *, checkpointed: bool = False, seed: int = 0) -> VLM:
    """A family at toy width in float64, norms too."""
    torch.set_num_threads(1)
    module, processor = toys.build(name, seed=seed)
    module.double()
    for parent in list(module.modules()):
        for child, norm in list(parent.named_children()):
            if type(norm).__name__.endswith("RMSNorm"):
                setattr(parent, child, Doubled(norm, offset=float(name.startswith(("Gemma", "Qwen3.5")))))
    if checkpointed:
        recompute_activations(module)
    return VLM(module, processor)


@cache
def prompts(vlm: VLM) -> tuple[Prompt, ...]:
    names = ("told", "one", "several", "wide") if vlm.sees_images else ("told",)
    return tuple(vlm.encode(problem(each), "plain") for each in names)


def learner(name: str, objective: Objective, cut: Cut) -> PolicyLearner:
    """Its steps are too small to move a weight."""
    made = PolicyLearner(
        double(name, checkpointed=cut.checkpointed),
        objective=objective,
        optimisation=Optimisation(
            steps=1_000_000, lr=1e-300, grad_clip=math.inf, micro_batch_tokens=cut.budget, share_prompts=cut.share
        ),
        reference=double(name, seed=1),
    )
    made.policy_synced(VERSION)
    return made


def gradient(vlm: VLM) -> torch.Tensor:
    weights = vlm.module.parameters()
    return torch.cat([torch.zeros(w.numel()) if w.grad is None else w.grad.flatten() for w in weights])


def plain_gradient(vlm: VLM, reference: VLM, chosen: Sequence[Experience], objective: Objective) -> torch.Tensor:
    """One response at a time: the model's own forward, the sum of the weighted losses, one backward for all."""
    vlm.module.zero_grad()
    vlm.module.train()
    parts = [_sums(vlm, reference, each, objective) for each in chosen]
    policy, copied = (sum(float(getattr(e, n).astype(np.float64).sum()) for e in chosen) for n in ("rl", "imitation"))
    if objective.divisor:
        policy, copied = (objective.divisor * sum(getattr(e, n).any() for e in chosen) for n in ("rl", "imitation"))
    loss = sum(part[0] for part in parts) / (policy or 1) + sum(part[1] for part in parts) / (copied or 1)
    loss.backward()
    return gradient(vlm)


def _sums(vlm: VLM, reference: VLM, one: Experience, objective: Objective) -> tuple[torch.Tensor, torch.Tensor]:
    """Σ w ℓ of all that the policy's weights weigh, and of the imitation."""
    prompt, ids = one.rollout.prompt, one.rollout.token_ids
    found = plain.distributions(vlm, prompt, ids)
    now = found.gather(-1, torch.from_numpy(ids)[:, None])[:, 0]
    behaviour = torch.from_numpy(one.rollout.logprobs)
    old = behaviour if one.old is None else torch.from_numpy(one.old)
    weights, sampled = torch.from_numpy(one.rl), torch.from_numpy(~one.rollout.forced & (one.rl != 0))
    lengths = torch.tensor([len(ids)])
    log_ratio = token_log_ratio(now, old, sampled=sampled)
    if objective.ratio == "sequence":
        log_ratio = sequence_log_ratio(now, old, sampled=sampled, lengths=lengths)
    term = clipped_surrogate(
        log_ratio,
        torch.full_like(now, one.advantage),
        clip_low=objective.clip_low,
        clip_high=objective.clip_high,
        sampled=sampled,
        ratio_cap=objective.ratio_cap,
        capped=torch.full_like(sampled, one.rollout.policy_version < VERSION),
        dual_clip=objective.dual_clip,
    )
    losses = term.losses
    if objective.correction != "none":
        whole = lengths if objective.correction == "sequence" else None
        losses = losses * importance_weights(old, behaviour, cap=objective.ratio_cap, sampled=sampled, lengths=whole)
    with torch.no_grad():
        start = plain.logprobs(reference, prompt, ids)
    entropy = -(found.exp() * found).sum(-1)
    losses = losses + objective.kl_coefficient * k3(now, start, sampled=sampled)
    losses = losses - objective.entropy_coefficient * entropy
    copied = objective.imitation_coefficient * (imitation(now) * torch.from_numpy(one.imitation)).sum()
    return (losses * weights).sum(), copied


def compare(name: str, objective: Objective, cut: Cut, shape: Shape) -> float:
    """How far the learner's gradient is from the plain one, relative to it."""
    made = learner(name, objective, cut)
    given = updates.made(shape, prompts(made.vlm), ids=250, normalise=not objective.divisor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_CHUNK_SCORES", cut.chunk * made.vlm.vocabulary)
        chosen = updates.placed(shape, given, made.token_logprobs(given))
        metrics = made.update(chosen)
    found = gradient(made.vlm)
    if not any(each.rl.any() or each.imitation.any() for each in chosen):
        assert metrics["policy/skipped"].value == 1
        assert not found.any()
        return 0.0
    wanted = plain_gradient(made.vlm, made.reference, chosen, objective)
    assert metrics["policy/grad_norm"].value == pytest.approx(float(wanted.norm()), rel=SAME)
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=4, phases=[Phase.generate])  # models' updates each: a failure is told as it is found
@given(data=st.data())
def test_an_update_of_any_shape_has_the_gradient_of_plain_forwards(name: str, data: st.DataObject) -> None:
    assert compare(name, *drawn(name, data)) < SAME


@pytest.mark.long
@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=300, phases=[Phase.generate])
@given(data=st.data())
def test_and_so_in_many_more_shapes(name: str, data: st.DataObject) -> None:
    assert compare(name, *drawn(name, data)) < SAME


def drawn(name: str, data: st.DataObject) -> tuple[Objective, Cut, Shape]:
    objective = OBJECTIVES[data.draw(st.sampled_from(sorted(OBJECTIVES)))]
    return objective, data.draw(CUTS), data.draw(updates.shapes(len(prompts(double(name)))))
