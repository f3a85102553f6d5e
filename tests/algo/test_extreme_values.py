"""Float32 beside the framework-free reference in float64, where numbers are as large, small or many as they get.

Every bound is said in the test: a few roundings of float32 (6e-8 each), and what an exponential makes of one in its
argument, |x| times as much. Inputs are float32 numbers, so the reference starts from the same ones.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from reference import vl_rethinker as reference

from rethinker.algo.advantages import grpo, grpo_std, rloo
from rethinker.algo.objectives import (
    clipped_surrogate,
    importance_weights,
    k3,
    sequence_log_ratio,
    token_log_ratio,
    weighted_mean,
)

SETTINGS = reference.Settings()
LOW, HIGH, CAP = SETTINGS.clip_low, SETTINGS.clip_high, SETTINGS.cap
ROUNDED = 3e-7
"""Five roundings."""
OVERFLOWS = 88.0
"""e to more than this is no float32."""
LENGTHS = (1, 2, 17, 1_000, 32_768)

single = np.float32
EVERY = torch.tensor([True])
logprobs = st.sampled_from([-1e4, -88.5, -17.0, -1.0, float(single(-1e-3)), float(single(-1e-8)), 0.0]) | st.floats(
    -1e4, 0, width=32
)
advantages = st.sampled_from([0.0, 1e-7, -1e-7, 0.875, -0.125, 1e6, -1e6]) | st.floats(-10, 10, width=32)
edges = st.sampled_from([1 - LOW, 1 + HIGH, CAP]).flatmap(
    lambda edge: st.integers(-3, 3).map(lambda steps: float(single(math.log(edge)) * (1 + steps * 6e-8)))
)
log_ratios = edges | st.floats(-80, 80, width=32) | st.sampled_from([-80.0, 80.0, -1e-8, 1e-8])


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float32)


def surrogate(log_ratio: float, advantage: float, *, stale: bool = False, **more: float) -> tuple[float, float]:
    """The loss of a token, and its slope in the current log-prob."""
    current = one(log_ratio).requires_grad_()
    given = {"clip_low": LOW, "clip_high": HIGH, "ratio_cap": CAP} | more
    term = clipped_surrogate(current, one(advantage), sampled=EVERY, capped=torch.tensor([stale]), **given)
    term.losses.sum().backward()
    return term.losses.item(), current.grad.item()


# ---- ratio and clip ----------------------------------------------------------------------------------------------


@given(log_ratio=log_ratios, advantage=advantages, stale=st.booleans(), dual_clip=st.sampled_from([math.inf, 3.0]))
def test_the_surrogate_is_that_of_the_reference_up_to_rounding(log_ratio, advantage, stale, dual_clip) -> None:
    used = replace(SETTINGS, dual_clip=dual_clip)
    wanted = reference.surrogate(math.exp(log_ratio), advantage, used, replayed=stale)
    assume(abs(wanted) < 3e38)
    loss, slope = surrogate(log_ratio, advantage, stale=stale, dual_clip=dual_clip)
    assert loss == pytest.approx(wanted, rel=ROUNDED * (1 + abs(log_ratio)), abs=1e-37)
    moves = reference.surrogate(math.exp(log_ratio) * 1.001, advantage, used, replayed=stale) != wanted
    stays = reference.surrogate(math.exp(log_ratio) / 1.001, advantage, used, replayed=stale) == wanted
    if moves != stays:  # no kink so near
        assert slope == pytest.approx(wanted if moves else 0.0, rel=ROUNDED * (1 + abs(log_ratio)), abs=1e-37)


@given(
    log_ratio=st.sampled_from([OVERFLOWS + 1, 1e4, 3e38, math.inf]),
    advantage=st.sampled_from([0.0, 1e-7, 1.0, 1e6]),
    stale=st.booleans(),
)
def test_a_ratio_that_overflows_where_the_clip_holds_leaves_loss_and_gradient_alone(log_ratio, advantage, stale):
    assert surrogate(log_ratio, advantage, stale=stale) == pytest.approx((-(1 + HIGH) * advantage, 0.0))


@pytest.mark.parametrize("bound", [{"stale": True}, {"dual_clip": 3.0}])
def test_where_the_advantage_is_negative_the_cap_and_the_dual_clip_bound_it(bound) -> None:
    loss, slope = surrogate(1e4, -1e6, **bound)
    assert (loss, slope) == (pytest.approx(1e6 * (CAP if "stale" in bound else 3.0)), 0.0)


@given(current=logprobs, old=logprobs)
def test_a_difference_of_logprobs_is_rounded_once(current, old) -> None:
    found = token_log_ratio(one(current), one(old), sampled=EVERY)
    assert float(found) == pytest.approx(current - old, rel=6e-8, abs=1e-45)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("size", [1e-8, 1e-3, 1.0, 1e4])
def test_the_mean_and_the_sum_over_a_response_do_not_feel_its_length(length: int, size: float) -> None:
    """All of one sign, which is where an error adds up, and a second response whose sums must be its own."""
    rng = np.random.default_rng(length)
    off = (size * rng.uniform(0.5, 1, length + 1)).astype(single)
    lengths, sampled = torch.tensor([length, 1]), torch.ones(length + 1, dtype=torch.bool)
    zeros = torch.zeros(length + 1)
    found = sequence_log_ratio(torch.from_numpy(off), zeros, sampled=sampled, lengths=lengths)
    assert float(found[0]) == pytest.approx(math.fsum(off[:-1]) / length, rel=ROUNDED)
    assert float(found[-1]) == off[-1]
    lower = torch.from_numpy(-off)
    weights = importance_weights(lower, zeros, cap=CAP, sampled=sampled, lengths=lengths)
    whole = -math.fsum(off[:-1])
    assert float(weights[0]) == pytest.approx(math.exp(max(whole, -745)), rel=ROUNDED * (1 - whole), abs=1e-38)


# ---- importance weights, KL --------------------------------------------------------------------------------------


@given(old=logprobs, behaviour=logprobs)
@example(old=0.0, behaviour=-math.log(2))
def test_a_truncated_weight_is_finite_and_that_of_the_reference(old, behaviour) -> None:
    log_ratio = float(single(old) - single(behaviour))
    found = float(importance_weights(one(old), one(behaviour), cap=CAP, sampled=EVERY))
    wanted = reference.truncated(max(log_ratio, -700), CAP)
    assert 0 <= found <= CAP
    assert found == pytest.approx(wanted, rel=ROUNDED * (1 + abs(log_ratio)), abs=1e-38)


@given(log_ratio=st.floats(-1e4, 80, width=32) | st.sampled_from([1e-8, -1e-8, 1e-4, -1e-4, 0.0, 80.0, -1e4]))
def test_the_kl_estimate_and_its_slope_are_those_of_the_reference(log_ratio) -> None:
    """Near 0 it is a difference of near numbers: exact to a rounding of |x|, which is what log-probs are known to."""
    current = torch.zeros(1, requires_grad=True)
    found = k3(current, one(log_ratio), sampled=EVERY)
    found.sum().backward()
    ratio = math.exp(max(log_ratio, -700))
    wanted = math.expm1(max(log_ratio, -700)) - log_ratio
    assert abs(found.item() - wanted) <= ROUNDED * (1 + abs(log_ratio)) * (abs(math.expm1(log_ratio)) + abs(log_ratio))
    assert float(current.grad) == pytest.approx(1 - ratio, rel=ROUNDED * (1 + abs(log_ratio)), abs=ROUNDED)


# ---- means over many tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("loss", [1e-8, 1.0, 1e4])
def test_a_mean_over_an_update_does_not_feel_its_length(length: int, loss: float) -> None:
    rng = np.random.default_rng(length)
    losses, weights = ((scale * rng.uniform(0.5, 1, length)).astype(single) for scale in (loss, 1 / length))
    total = float(weights.sum(dtype=np.float64))
    found = weighted_mean(torch.from_numpy(losses), torch.from_numpy(weights), total=total)
    wanted = math.fsum(float(w) * float(x) for w, x in zip(weights, losses, strict=True)) / total
    assert float(found) == pytest.approx(wanted, rel=ROUNDED)


def test_responses_of_1_and_of_32768_tokens_weigh_the_same() -> None:
    """The paper's normalisation, in float32 weights of 1 and of 3e-5."""
    losses = torch.cat([torch.ones(1), torch.full((32_768,), 3.0)])
    weights = torch.cat([torch.ones(1), torch.full((32_768,), 1 / 32_768)])
    assert float(weighted_mean(losses, weights, total=float(weights.double().sum()))) == pytest.approx(2, rel=ROUNDED)


# ---- advantages --------------------------------------------------------------------------------------------------


@st.composite
def rewards(draw) -> np.ndarray:
    """A group at any level, equal but for a few steps of float32 or as different as it gets."""
    level = single(draw(st.sampled_from([0.0, 1e-30, 1e-6, 1.0, 1e6, -1e6, 1e30])))
    group = np.full(draw(st.integers(1, 17)), level, dtype=single)
    for place in draw(st.lists(st.integers(0, len(group) - 1), max_size=4)):
        group[place] = draw(st.sampled_from([np.nextafter(level, single(2e30)), level * single(2), single(0)]))
    return group


def exactly(group: np.ndarray, kind: str) -> list[float]:
    """In whole fractions, rounded once; the std by a root of 50 digits' worth of fraction."""
    values = [Fraction(float(value)) for value in group]
    mean = sum(values) / len(values)
    off = [value - mean for value in values]
    if kind == "rloo":
        return [float(each * len(values) / (len(values) - 1)) if len(values) > 1 else 0.0 for each in off]
    if kind == "grpo" or not any(off):
        return [float(each) for each in off]
    largest = max(map(abs, off))
    std = math.sqrt(sum((each / largest) ** 2 for each in off) / len(off))
    return [float(each / largest) / std for each in off]


@given(group=rewards())
@pytest.mark.parametrize("estimator", [grpo, grpo_std, rloo])
def test_advantages_are_exact_to_float32_at_every_level(estimator, group) -> None:
    """Float64 keeps the float32 difference of two large rewards; what is left is its own rounding of the mean."""
    found = estimator(group)
    assert np.isfinite(found).all()
    wanted = exactly(group, estimator.__name__)
    least = 1e-15 * float(np.abs(group).max()) if estimator is not grpo_std else 0.0
    assert found.tolist() == pytest.approx(wanted, rel=1e-6, abs=max(least, 1e-45))


def test_rewards_equal_but_for_a_ten_millionth_are_a_whole_signal_under_std_and_next_to_none_without() -> None:
    """What dividing by the std without ε means; the paper's recipe subtracts the mean alone."""
    group = np.array([1, 1, 1, 1 - 1e-7], dtype=single)
    assert grpo_std(group).tolist() == pytest.approx([3**-0.5] * 3 + [-(3**0.5)], rel=1e-6)
    assert np.abs(grpo(group)).max() < 1e-7
