import math
from functools import partial

import numpy as np
import pytest
import torch

from rethinker.algo.objectives import (
    clipped_surrogate,
    constant_total,
    imitation,
    importance_weights,
    k3,
    sequence_log_ratio,
    token_log_ratio,
    weighted_mean,
)


def tokens(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def surrogate(ratios, advantages, *, sampled=None, **changes):
    """The term and the gradient of its summed losses with respect to the current log-probs, old log-probs being −1."""
    logprobs = (torch.log(tokens(*ratios)) - 1).requires_grad_()
    keep = torch.ones(len(ratios), dtype=torch.bool) if sampled is None else torch.tensor(sampled)
    old = torch.full_like(logprobs, -1.0)
    given = {"clip_low": 0.2, "clip_high": 0.35, "sampled": keep} | changes
    term = clipped_surrogate(token_log_ratio(logprobs, old, sampled=keep), tokens(*advantages), **given)
    term.losses.sum().backward()
    return term, logprobs.grad.tolist()


def test_on_policy_the_gradient_is_minus_the_advantage():
    term, gradient = surrogate([1.0, 1.0], [0.75, -0.25])
    assert term.losses.tolist() == [-0.75, 0.25]
    assert gradient == [-0.75, 0.25]
    assert not term.clipped.any()


def test_the_clip_bounds_what_a_good_token_can_gain_and_a_bad_one_can_lose():
    term, gradient = surrogate([2.0, 0.5], [1.0, -1.0])
    assert term.losses.tolist() == pytest.approx([-1.35, 0.8])
    assert gradient == [0.0, 0.0]
    assert term.clipped.tolist() == [True, True]


def test_the_clip_does_not_shield_a_token_that_moved_the_wrong_way():
    term, gradient = surrogate([0.5, 2.0], [1.0, -1.0])
    assert term.losses.tolist() == pytest.approx([-0.5, 2.0])
    assert gradient == pytest.approx([-0.5, 2.0])
    assert not term.clipped.any()


def test_the_ratio_cap_holds_for_both_signs():
    term, gradient = surrogate([5.0, 5.0], [1.0, -1.0], ratio_cap=2.0)
    assert term.losses.tolist() == pytest.approx([-1.35, 2.0])
    assert gradient == [0.0, 0.0]
    assert term.clipped.tolist() == [True, True]
    assert term.ratio.tolist() == pytest.approx([5.0, 5.0])


def test_only_replayed_tokens_are_capped():
    capped = torch.tensor([True, False])
    term, gradient = surrogate([5.0, 5.0], [-1.0, -1.0], ratio_cap=2.0, capped=capped)
    assert term.losses.tolist() == pytest.approx([2.0, 5.0])
    assert gradient == pytest.approx([0.0, 5.0])


def test_a_ratio_that_would_overflow_is_capped_with_a_finite_gradient():
    logprobs = tokens(-0.1).requires_grad_()
    term = clipped_surrogate(
        logprobs - tokens(-200.0), tokens(-1.0),
        clip_low=0.2, clip_high=0.35, sampled=torch.tensor([True]), ratio_cap=2.0,
    )  # fmt: skip
    term.losses.sum().backward()
    assert term.losses.tolist() == pytest.approx([2.0])
    assert logprobs.grad.tolist() == [0.0]


def test_an_overflow_without_a_cap_is_not_hidden():
    term, _ = surrogate([math.inf], [-1.0])
    assert not torch.isfinite(term.losses).any()


def test_zero_advantage_tokens_have_no_loss_and_no_gradient():
    term, gradient = surrogate([0.5, 1.0, 2.0], [0.0] * 3)
    assert term.losses.abs().tolist() == [0.0] * 3
    assert [abs(each) for each in gradient] == [0.0] * 3
    assert not term.clipped.any()


# ---- dual clip -----------------------------------------------------------------------------------------------------


def test_the_dual_clip_bounds_what_a_bad_token_can_cost():
    term, gradient = surrogate([2.9, 3.1, 50.0, 50.0], [-1.0, -1.0, -0.5, 1.0], dual_clip=3.0)
    assert term.losses.tolist() == pytest.approx([2.9, 3.0, 1.5, -1.35])
    assert gradient == pytest.approx([2.9, 0.0, 0.0, 0.0])
    assert term.dual_clipped.tolist() == [False, True, True, False]
    assert term.clipped.tolist() == [False, True, True, True]


def test_the_dual_clip_leaves_good_tokens_to_the_clip():
    plain, its_gradient = surrogate([0.1, 1.1, 9.0], [1.0, 1.0, 1.0])
    dual, gradient = surrogate([0.1, 1.1, 9.0], [1.0, 1.0, 1.0], dual_clip=3.0)
    assert dual.losses.tolist() == plain.losses.tolist()
    assert gradient == its_gradient
    assert not dual.dual_clipped.any()


def test_the_dual_clip_keeps_a_ratio_that_would_overflow_finite():
    term, gradient = surrogate([math.inf], [-1.0], dual_clip=3.0)
    assert term.losses.tolist() == pytest.approx([3.0])
    assert gradient == [0.0]


def test_where_the_cap_is_tighter_it_holds_before_the_dual_clip():
    term, _ = surrogate([5.0, 5.0], [-1.0, -1.0], ratio_cap=2.0, capped=torch.tensor([True, False]), dual_clip=3.0)
    assert term.losses.tolist() == pytest.approx([2.0, 3.0])


# ---- sequence ratio --------------------------------------------------------------------------------------------------


def test_a_sequence_ratio_is_the_geometric_mean_over_the_sampled_tokens_of_a_response():
    current, old = tokens(-1.0, -2.0, -3.0, -1.0, -1.0), tokens(-1.5, -2.0, -9.0, -1.0, -2.0)
    sampled = torch.tensor([True, True, False, True, True])
    found = sequence_log_ratio(current, old, sampled=sampled, lengths=torch.tensor([3, 2]))
    assert found.tolist() == pytest.approx([0.25, 0.25, 0.0, 0.5, 0.5])


def test_every_token_has_an_equal_part_in_the_gradient_of_its_sequence():
    current = tokens(-1.0, -2.0, -3.0, -1.0).requires_grad_()
    every = torch.ones(4, dtype=torch.bool)
    log_ratio = sequence_log_ratio(current, tokens(-1.1, -2.1, -3.1, -1.0), sampled=every, lengths=torch.tensor([3, 1]))
    term = clipped_surrogate(log_ratio, tokens(2.0, 2.0, 2.0, -1.0), clip_low=0.2, clip_high=0.35, sampled=every)
    weighted_mean(term.losses, tokens(1 / 3, 1 / 3, 1 / 3, 1), total=2.0).backward()
    s = math.exp(0.1)
    assert current.grad.tolist() == pytest.approx([-2 * s / 3 / 2] * 3 + [0.5])


def test_a_sequence_is_clipped_as_a_whole():
    """One token runs away, the others hold: the ratio of the response decides for all of them."""
    current = tokens(2.0, -1.0, -1.0, -1.0).requires_grad_()
    every = torch.ones(4, dtype=torch.bool)
    log_ratio = sequence_log_ratio(current, tokens(-1.0, -1.0, -1.0, -1.0), sampled=every, lengths=torch.tensor([2, 2]))
    term = clipped_surrogate(log_ratio, tokens(1.0, 1.0, 1.0, 1.0), clip_low=3e-4, clip_high=4e-4, sampled=every)
    term.losses.sum().backward()
    assert term.clipped.tolist() == [True, True, False, False]
    assert current.grad.tolist() == [0.0, 0.0, -1.0, -1.0]


def test_a_response_without_sampled_tokens_has_no_ratio_of_its_own():
    found = sequence_log_ratio(
        tokens(-1.0, -2.0), tokens(-5.0, -3.0), sampled=torch.tensor([False, True]), lengths=torch.tensor([1, 0, 1])
    )
    assert found.tolist() == [0.0, 1.0]


POISON = [-math.inf, math.inf, math.nan, -1e30, 1e30]


@pytest.mark.parametrize("current", POISON)
@pytest.mark.parametrize("other", [0.0, *POISON])
@pytest.mark.parametrize("of", [token_log_ratio, partial(sequence_log_ratio, lengths=torch.tensor([2]))])
def test_forced_tokens_carry_no_policy_gradient(current, other, of):
    """Whatever stands at a forced position, loss and gradient are those of the sampled token alone."""
    logprobs = tokens(-1.0, current).requires_grad_()
    old, sampled, weights = tokens(-1.0, other), torch.tensor([True, False]), tokens(1.0, 0.0)
    term = clipped_surrogate(
        of(logprobs, old, sampled=sampled),
        tokens(0.5, 0.5),
        clip_low=0.2,
        clip_high=0.35,
        sampled=sampled,
        ratio_cap=2.0,
    )
    correction = importance_weights(old, tokens(-1.0, other), cap=2.0, sampled=sampled)
    policy = weighted_mean(term.losses * correction, weights, total=1.0)
    penalty = weighted_mean(k3(logprobs, old, sampled=sampled), weights, total=1.0)
    copied = weighted_mean(imitation(logprobs), weights, total=1.0)
    (policy + penalty + copied).backward()
    assert policy.item() == -0.5
    assert term.ratio.tolist() == [1.0, 1.0]
    assert logprobs.grad.tolist() == [-1.5, 0.0]


def test_a_forced_minus_infinity_stays_harmless_through_log_softmax():
    logits = torch.tensor([[0.5, 0.1], [-math.inf, 0.1]], requires_grad=True)
    logprobs = torch.log_softmax(logits, dim=-1)[:, 0]
    sampled = torch.tensor([True, False])
    log_ratio = token_log_ratio(logprobs, tokens(-0.5, 0.0), sampled=sampled)
    term = clipped_surrogate(log_ratio, tokens(1.0, 1.0), clip_low=0.2, clip_high=0.35, sampled=sampled)
    weighted_mean(term.losses, tokens(1.0, 0.0), total=1.0).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].tolist() == [0.0, 0.0]


def test_importance_weights_are_truncated_above_only():
    weights = importance_weights(
        tokens(-1.0, 0.0, -3.0), tokens(-1.0, -5.0, -1.0), cap=2.0, sampled=torch.tensor([True] * 3)
    )
    assert weights.tolist() == pytest.approx([1.0, 2.0, math.exp(-2)])


def test_the_importance_weight_of_a_response_is_its_tokens_product_over_what_was_sampled():
    sampled = torch.tensor([True, False, True, True])
    old, behaviour = tokens(-1.0, -9.0, -2.0, -1.0), tokens(-1.5, 0.0, -2.2, -4.0)
    weights = importance_weights(old, behaviour, cap=2.5, sampled=sampled, lengths=torch.tensor([3, 1]))
    assert weights.tolist() == pytest.approx([math.exp(0.7), 1.0, math.exp(0.7), 2.5])


def test_importance_weights_have_no_gradient():
    old = tokens(-1.0).requires_grad_()
    assert not importance_weights(old, tokens(-2.0), cap=2.0, sampled=torch.tensor([True])).requires_grad


def test_importance_weights_survive_a_log_ratio_that_overflows():
    weights = importance_weights(tokens(0.0), tokens(-500.0), cap=2.0, sampled=torch.tensor([True]))
    assert weights.tolist() == [2.0]


def test_k3_is_zero_only_where_the_policies_agree():
    estimate = k3(tokens(-1.0, -1.0, -2.0), tokens(-1.0, -2.0, -1.0), sampled=torch.tensor([True] * 3))
    assert estimate.tolist() == pytest.approx([0.0, math.exp(-1), math.e - 2])


def test_imitation_pulls_every_weighted_token_up():
    logprobs = tokens(-1.0, -2.0, -3.0).requires_grad_()
    mean = weighted_mean(imitation(logprobs), tokens(0.0, 0.5, 0.5), total=1.0)
    mean.backward()
    assert mean.item() == 2.5
    assert logprobs.grad.tolist() == [0.0, -0.5, -0.5]


@pytest.mark.parametrize("cuts", [[12], [1, 11], [4, 4, 4], [5, 0, 7]])
def test_micro_batches_of_any_size_add_up_to_the_whole(cuts):
    torch.manual_seed(0)
    losses, weights = torch.randn(12, dtype=torch.float64), torch.rand(12, dtype=torch.float64)
    weights[3] = 0
    total = weights.sum().item()
    parts = zip(losses.split(cuts), weights.split(cuts), strict=True)
    summed = sum(weighted_mean(part, weight, total=total) for part, weight in parts)
    assert summed.item() == pytest.approx(((losses * weights).sum() / weights.sum()).item(), rel=1e-12)


def test_a_component_without_tokens_is_zero_and_can_still_be_differentiated():
    logprobs = tokens(-1.0, -math.inf).requires_grad_()
    mean = weighted_mean(imitation(logprobs), tokens(0.0, 0.0), total=0.0)
    mean.backward()
    assert mean.item() == 0.0
    assert logprobs.grad.tolist() == [0.0, 0.0]


def test_a_constant_total_counts_responses_and_not_their_lengths():
    short, long, masked = np.ones(2), np.ones(50), np.zeros(9)
    assert constant_total([short, long, masked, short], 100) == 300
    assert constant_total([masked], 100) == 0
    assert weighted_mean(tokens(1.0, 2.0, 3.0), tokens(1.0, 1.0, 1.0), total=100.0).item() == pytest.approx(0.06)


def test_a_weighted_loss_that_is_not_finite_is_left_to_be_seen():
    assert not torch.isfinite(weighted_mean(tokens(1.0, math.inf), tokens(0.5, 0.5), total=1.0))
