"""The loss of an update and its gradient: the package's tensors equal the reference's floats."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import vl_rethinker as reference
from tests.parity.worlds import as_group, groups, logprobs

from rethinker.algo.advantages import grpo
from rethinker.algo.credit import credit
from rethinker.algo.objectives import clipped_surrogate, imitation, importance_weights, k3, weighted_mean

SETTINGS = reference.Settings(imitation_coefficient=0.3, kl_coefficient=0.1)


@st.composite
def updates(draw) -> tuple[list, list[reference.Scored]]:
    """Experience, and the same samples with current, old and reference log-probs; some stand twice, as redraws do."""
    firsts, looks = draw(groups(largest=4))
    normalise, imitate = draw(st.sampled_from([("sequence_mean", "second_look"), ("token_mean", "trajectory")]))
    settings = replace(SETTINGS, normalise=normalise, imitate=imitate)
    final = reference.replace_kept(firsts, looks, 2)
    samples = reference.credit(final, settings)
    experiences = credit(as_group(final, firsts), advantages=grpo, normalisation=normalise, imitation=imitate)
    places = draw(st.lists(st.sampled_from(range(len(samples))), min_size=1, max_size=5))
    return [experiences[place] for place in places], [draw(scored(samples[place])) for place in places]


@st.composite
def scored(draw, sample: reference.Sample) -> reference.Scored:
    length = len(sample.rl)
    values = st.lists(logprobs, min_size=length, max_size=length)
    old = list(sample.response.behaviour) if draw(st.booleans()) else draw(values)
    return reference.Scored(sample, draw(values), old, reference=draw(values), replayed=draw(st.booleans()))


def flat(rows) -> torch.Tensor:
    return torch.tensor([value for row in rows for value in row], dtype=torch.float64)


def package_loss(experiences, update, current: torch.Tensor, *, micro_batches: int = 1) -> torch.Tensor:
    """Add up the components as a learner does, over any number of micro-batches of whole responses."""
    policy_total = float(sum(each.rl.sum() for each in experiences))
    imitation_total = float(sum(each.imitation.sum() for each in experiences))
    parts = current.split([len(each.rl) for each in experiences])
    total = torch.zeros((), dtype=torch.float64)
    for chunk in np.array_split(np.arange(len(experiences)), micro_batches):
        if not len(chunk):
            continue
        chosen, scores = [experiences[i] for i in chunk], [update[i] for i in chunk]
        rl, copied = flat(each.rl for each in chosen), flat(each.imitation for each in chosen)
        now, old = torch.cat([parts[i] for i in chunk]), flat(each.old for each in scores)
        sampled = rl != 0
        term = clipped_surrogate(
            now, old, flat([each.advantage] * len(each.rl) for each in chosen),
            clip_low=SETTINGS.clip_low, clip_high=SETTINGS.clip_high, sampled=sampled, ratio_cap=SETTINGS.cap,
            capped=flat([each.replayed] * len(each.old) for each in scores).bool(),
        )  # fmt: skip
        behaviour = flat(each.sample.response.behaviour for each in scores)
        weights = importance_weights(old, behaviour, cap=SETTINGS.cap, sampled=sampled)
        kl = k3(now, flat(each.reference for each in scores), sampled=sampled)
        total = total + weighted_mean(term.losses * weights, rl, total=policy_total)
        total = total + SETTINGS.imitation_coefficient * weighted_mean(imitation(now), copied, total=imitation_total)
        total = total + SETTINGS.kl_coefficient * weighted_mean(kl, rl, total=policy_total)
    return total


@given(update=updates())
def test_the_loss_of_an_update_equals_the_reference(update):
    experiences, scores = update
    expected = reference.loss(scores, SETTINGS)
    actual = package_loss(experiences, scores, flat(each.current for each in scores))
    assert actual.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


@given(update=updates(), micro_batches=st.integers(2, 5))
def test_micro_batches_change_neither_the_loss_nor_its_gradient(update, micro_batches):
    experiences, scores = update
    whole, cut = (flat(each.current for each in scores).requires_grad_() for _ in range(2))
    one = package_loss(experiences, scores, whole)
    many = package_loss(experiences, scores, cut, micro_batches=micro_batches)
    one.backward()
    many.backward()
    assert many.item() == pytest.approx(one.item(), rel=1e-9, abs=1e-9)
    torch.testing.assert_close(cut.grad, whole.grad, rtol=1e-9, atol=1e-9)


def near_a_kink(scores) -> bool:
    kinks = (1 - SETTINGS.clip_low, 1 + SETTINGS.clip_high, SETTINGS.cap)
    ratios = [math.exp(c - o) for each in scores for c, o in zip(each.current, each.old, strict=True)]
    return any(abs(ratio - kink) < 1e-3 for ratio in ratios for kink in kinks)


def slope(scores, place: int, position: int, width: float = 1e-5) -> float:
    def shifted(by: float) -> float:
        current = list(scores[place].current)
        current[position] += by
        return reference.loss(
            [*scores[:place], replace(scores[place], current=current), *scores[place + 1 :]], SETTINGS
        )

    return (shifted(width) - shifted(-width)) / (2 * width)


@given(update=updates())
def test_the_gradient_equals_the_slope_of_the_reference(update):
    experiences, scores = update
    assume(not near_a_kink(scores))
    current = flat(each.current for each in scores).requires_grad_()
    package_loss(experiences, scores, current).backward()
    expected = [
        slope(scores, place, position) for place, each in enumerate(scores) for position in range(len(each.current))
    ]
    np.testing.assert_allclose(current.grad.numpy(), expected, rtol=1e-4, atol=1e-6)


@given(
    ratio=st.floats(0.05, 20),
    advantage=st.floats(-3, 3),
    clips=st.tuples(st.floats(0.05, 0.9), st.floats(0.05, 3)),
    cap=st.floats(1.01, 5),
    replayed=st.booleans(),
)
def test_the_surrogate_of_a_token_equals_the_reference(ratio, advantage, clips, cap, replayed):
    settings = replace(SETTINGS, clip_low=clips[0], clip_high=clips[1], cap=cap)
    term = clipped_surrogate(
        flat([[math.log(ratio)]]), flat([[0.0]]), flat([[advantage]]),
        clip_low=clips[0], clip_high=clips[1], sampled=torch.tensor([True]), ratio_cap=cap,
        capped=torch.tensor([replayed]),
    )  # fmt: skip
    expected = reference.surrogate(ratio, advantage, settings, replayed=replayed)
    assert term.losses.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert term.ratio.item() == pytest.approx(ratio)
