"""What an update of the learner minimises, and its gradient: the reference's floats, on the learner's own log-probs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from reference import vl_rethinker as reference
from tests import plain
from tests.conftest import copied
from tests.learner.given import prompts
from tests.parity.worlds import as_group, groups

from rethinker.algo.advantages import grpo
from rethinker.algo.credit import credit
from rethinker.algo.objectives import clipped_surrogate
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.vlm import VLM
from rethinker.types import Experience

SETTINGS = reference.Settings(imitation_coefficient=0.3, kl_coefficient=0.1)
VARIANTS = {
    "clip": SETTINGS,
    "dual_clip": replace(SETTINGS, dual_clip=1.6),
    "gspo": replace(SETTINGS, ratio="sequence", clip_low=0.1, clip_high=0.15),
    "corrected by response": replace(SETTINGS, correction="sequence", cap=1.5),
    "not corrected": replace(SETTINGS, correction="none"),
    "dr_grpo": replace(SETTINGS, normalise="constant", divisor=7),
    "gspo over a constant, dual clip": replace(
        SETTINGS, ratio="sequence", normalise="constant", divisor=7, dual_clip=1.3, clip_low=0.1, clip_high=0.15
    ),
}
VERSION = 1

Pair = tuple[Experience, reference.Sample]
"""A response as the package knows it, and as the reference does."""


@dataclass
class Update:
    """Two groups of credited responses, and by draw what the learner gets of them.

    `off` is how far a token's old log-prob is from the current one, `apart` how far its behaviour log-prob is from
    that, None where the engine is the learner itself; `chosen` may name a response twice, as redraws do.
    """

    groups: list[list[Pair]]
    off: list[list[float]]
    apart: list[list[float] | None]
    stale: list[bool]
    chosen: list[int]


@st.composite
def updates(draw, variant: reference.Settings) -> Update:
    normalise, imitate = draw(st.sampled_from([("sequence_mean", "second_look"), ("token_mean", "trajectory")]))
    normalise = variant.normalise if variant.normalise == "constant" else normalise
    mask = draw(st.booleans())
    used = replace(variant, normalise=normalise, imitate=imitate, truncated="mask" if mask else "score")
    made = []
    for _ in range(2):
        firsts, looks = draw(groups(largest=3))
        final = reference.replace_kept(firsts, looks, 2)
        group = as_group(final, firsts)
        ours = credit(group, advantages=grpo, normalisation=normalise, imitation=imitate, mask_truncated=mask)
        made.append(list(zip(ours, reference.credit(final, used), strict=True)))
    lengths = [len(sample.rl) for group in made for _, sample in group]
    return Update(
        groups=made,
        off=[draw(st.lists(st.floats(-1.5, 1.5), min_size=length, max_size=length)) for length in lengths],
        apart=[
            draw(st.one_of(st.none(), st.lists(st.floats(-1, 1), min_size=length, max_size=length)))
            for length in lengths
        ],
        stale=[draw(st.booleans()) for _ in lengths],
        chosen=draw(st.lists(st.sampled_from(range(len(lengths))), min_size=1, max_size=6)),
    )


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> reference.Settings:
    return VARIANTS[request.param]


@pytest.fixture(scope="module")
def learner(tiny_vlm: VLM, variant: reference.Settings) -> PolicyLearner:
    """Its steps are too small to move a weight, its micro-batches smaller than most updates, and nothing is clipped."""
    start = copied(tiny_vlm)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in start.module.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=noise))
    made = PolicyLearner(
        copied(tiny_vlm),
        objective=Objective(
            ratio=variant.ratio,
            clip_low=variant.clip_low,
            clip_high=variant.clip_high,
            dual_clip=variant.dual_clip,
            ratio_cap=variant.cap,
            correction=variant.correction,
            divisor=variant.divisor if variant.normalise == "constant" else None,
            imitation_coefficient=variant.imitation_coefficient,
            kl_coefficient=variant.kl_coefficient,
        ),
        optimisation=Optimisation(steps=100_000, lr=1e-30, grad_clip=1e9, micro_batch_tokens=150),
        reference=start,
    )
    made.policy_synced(VERSION)
    return made


def logprobs(vlm: VLM, experiences: list[Experience]) -> list[np.ndarray]:
    reader = PolicyLearner(vlm, objective=Objective(), optimisation=Optimisation(steps=1, lr=1e-30))
    return reader.token_logprobs(experiences)


def scored(update: Update, learner: PolicyLearner) -> tuple[list[Experience], list[reference.Scored]]:
    """All that was chosen, once for the learner and once, with its log-probs, for the reference."""
    placed = [
        replace(ours, rollout=replace(ours.rollout, prompt=prompt))
        for prompt, group in zip(prompts(learner.vlm), update.groups, strict=True)
        for ours, _ in group
    ]
    samples = [sample for group in update.groups for _, sample in group]
    read = (learner.token_logprobs(placed), logprobs(learner.reference, placed))
    experiences, scores = [], []
    for ours, sample, current, start, off, apart, stale in zip(
        placed, samples, *read, update.off, update.apart, update.stale, strict=True
    ):
        old = np.where(ours.rollout.forced, 0, current + np.array(off)).astype(np.float32)
        behaviour = old if apart is None else (old + np.array(apart)).astype(np.float32)
        rollout = replace(ours.rollout, logprobs=behaviour, policy_version=VERSION - stale)
        experiences.append(replace(ours, rollout=rollout, old=None if apart is None else old))
        response = replace(sample.response, behaviour=behaviour.tolist())
        scores.append(
            reference.Scored(
                replace(sample, response=response), current.tolist(), old.tolist(), start.tolist(), replayed=stale
            )
        )
    return [experiences[place] for place in update.chosen], [scores[place] for place in update.chosen]


def component(scores: list[reference.Scored], variant: reference.Settings, **coefficient: float) -> float:
    none = replace(variant, imitation_coefficient=0.0, kl_coefficient=0.0)
    policy = reference.loss(scores, none)
    return reference.loss(scores, replace(none, **coefficient)) - policy if coefficient else policy


def near_a_kink(scores: list[reference.Scored], variant: reference.Settings) -> bool:
    kinks = (1 - variant.clip_low, 1 + variant.clip_high, variant.cap, variant.dual_clip)
    ratios = [ratio for each in scores for ratio in reference.ratios(each, variant)]
    return any(abs(ratio - kink) < 1e-3 for ratio in ratios for kink in kinks)


def slope(
    scores: list[reference.Scored], variant: reference.Settings, place: int, position: int, width: float = 1e-5
) -> float:
    def shifted(by: float) -> float:
        current = list(scores[place].current)
        current[position] += by
        return reference.loss([*scores[:place], replace(scores[place], current=current), *scores[place + 1 :]], variant)

    return (shifted(width) - shifted(-width)) / (2 * width)


def gradient(vlm: VLM) -> torch.Tensor:
    return torch.cat(
        [torch.zeros(w.numel()) if w.grad is None else w.grad.flatten() for w in vlm.module.parameters()]
    ).double()


def expected_gradient(
    vlm: VLM, experiences: list[Experience], scores: list[reference.Scored], variant: reference.Settings
) -> torch.Tensor:
    """The reference's slopes, carried on to the weights by a plain forward of one response at a time."""
    vlm.module.zero_grad()
    for place, each in enumerate(experiences):
        slopes = [slope(scores, variant, place, position) for position in range(len(each.rl))]
        current = plain.logprobs(vlm, each.rollout.prompt, each.rollout.token_ids)
        (current * torch.tensor(slopes)).sum().backward()
    return gradient(vlm)


@settings(max_examples=25, phases=[Phase.generate])  # a model's update each: a failure is told as it is found
@given(data=st.data())
def test_an_update_has_the_loss_and_the_gradient_of_the_reference(
    learner: PolicyLearner, variant: reference.Settings, data: st.DataObject
) -> None:
    experiences, scores = scored(data.draw(updates(variant)), learner)
    assume(any(each.rl.any() or each.imitation.any() for each in experiences) and not near_a_kink(scores, variant))
    metrics = learner.update(experiences)
    found = gradient(learner.vlm)
    for name, expected in (
        ("policy/loss", component(scores, variant)),
        ("policy/imitation_loss", component(scores, variant, imitation_coefficient=1.0)),
        ("policy/kl", component(scores, variant, kl_coefficient=1.0)),
    ):
        assert (metrics[name].value or 0.0) == pytest.approx(expected, rel=1e-4, abs=1e-5), name
    wanted = expected_gradient(learner.vlm, experiences, scores, variant)
    assert metrics["policy/grad_norm"].value == pytest.approx(float(wanted.norm()), rel=1e-3, abs=1e-5)
    assert float((found - wanted).norm()) <= 1e-3 * float(wanted.norm()) + 1e-5


@given(
    ratio=st.floats(0.05, 20),
    advantage=st.floats(-3, 3),
    clips=st.tuples(st.floats(0.05, 0.9), st.floats(0.05, 3)),
    cap=st.floats(1.01, 5),
    replayed=st.booleans(),
    dual_clip=st.one_of(st.just(math.inf), st.floats(1.01, 5)),
)
def test_the_surrogate_of_a_token_equals_the_reference(ratio, advantage, clips, cap, replayed, dual_clip):
    used = replace(SETTINGS, clip_low=clips[0], clip_high=clips[1], cap=cap, dual_clip=dual_clip)
    term = clipped_surrogate(
        *(torch.tensor([value], dtype=torch.float64) for value in (math.log(ratio), advantage)),
        clip_low=clips[0], clip_high=clips[1], sampled=torch.tensor([True]), ratio_cap=cap,
        capped=torch.tensor([replayed]), dual_clip=dual_clip,
    )  # fmt: skip
    expected = reference.surrogate(ratio, advantage, used, replayed=replayed)
    assert term.losses.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert term.ratio.item() == pytest.approx(ratio)
