from functools import partial

import numpy as np
import pytest
from tests.algo.making import group, rethought, rollout

from rethinker.algo.advantages import grpo
from rethinker.algo.credit import credit
from rethinker.algo.truncation import soft_penalty


def credited(rollouts, *, normalisation="sequence_mean", imitation="second_look", **truncation):
    return credit(group(rollouts), advantages=grpo, normalisation=normalisation, imitation=imitation, **truncation)


def test_advantages_are_over_the_final_rollouts_not_the_first_ones():
    first = rollout(reward=0, sample=0)
    experiences = credited([rethought(first=first), rollout(reward=0, sample=1)])
    assert [each.advantage for each in experiences] == [0.5, -0.5]


def test_each_experience_keeps_its_own_rollout():
    rollouts = [rollout(sample=0, reward=1), rollout(sample=1)]
    assert [each.rollout for each in credited(rollouts)] == rollouts


def test_sequence_mean_weights_of_a_response_add_up_to_one():
    short, long = credited([rollout(length=2), rollout(length=5)])
    assert short.rl.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(long.rl, [0.2] * 5)


@pytest.mark.parametrize("normalisation", ["token_mean", "constant"])
def test_token_mean_weights_are_one(normalisation):
    (only,) = credited([rollout(length=5)], normalisation=normalisation)
    assert only.rl.tolist() == [1.0] * 5


def test_forced_tokens_have_no_policy_weight_and_are_not_counted_in_the_length():
    look = rethought(first=rollout(length=3), trigger=2, second=4)
    (only,) = credited([look])
    sixth = np.float32(1 / 6)
    assert only.rl.tolist() == [sixth, sixth, 0, 0, sixth, sixth, sixth, sixth]


def test_second_look_imitation_covers_the_trigger_and_what_follows():
    look = rethought(first=rollout(length=3), trigger=2, second=4)
    (only,) = credited([look])
    assert only.imitation.tolist() == [0, 0, *[np.float32(1 / 6)] * 6]


def test_trajectory_imitation_covers_the_whole_response():
    look = rethought(first=rollout(length=3), trigger=2, second=4)
    (only,) = credited([look], imitation="trajectory")
    assert only.imitation.tolist() == [np.float32(1 / 8)] * 8


def test_token_mean_holds_for_imitation_too():
    look = rethought(first=rollout(length=3), trigger=2, second=4)
    (only,) = credited([look], normalisation="token_mean")
    assert only.imitation.tolist() == [0, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("imitation", ["second_look", "trajectory"])
def test_what_was_not_forced_is_not_imitated(imitation):
    for each in credited([rollout(reward=1), rollout()], imitation=imitation):
        assert not each.imitation.any()


def test_a_second_look_at_an_empty_first_response_is_weighed_from_its_trigger_on():
    look = rethought(first=rollout(length=1), trigger=2, second=2)
    (only,) = credited([look])
    assert only.rl.tolist() == [0, 0, 0.5, 0.5]
    assert only.imitation.tolist() == [0.25] * 4


@pytest.mark.parametrize("normalisation", ["sequence_mean", "token_mean"])
@pytest.mark.parametrize("imitation", ["second_look", "trajectory"])
def test_a_response_without_sampled_tokens_weighs_nothing(normalisation, imitation):
    nothing_sampled = rethought(first=rollout(length=1), trigger=3, second=0)
    empty = rollout(length=0)
    with np.errstate(all="raise"):
        looked, none = credited([nothing_sampled, empty], normalisation=normalisation, imitation=imitation)
    assert looked.rl.tolist() == [0, 0, 0]
    assert none.rl.shape == none.imitation.shape == (0,)


def test_zero_advantage_responses_keep_their_weight():
    experiences = credited([rollout(reward=1), rollout(reward=1)])
    assert [each.advantage for each in experiences] == [0.0, 0.0]
    assert all(each.rl.sum() == pytest.approx(1) for each in experiences)


# ---- truncation ------------------------------------------------------------------------------------------------------


def test_truncated_responses_are_scored_as_they_are_unless_told_otherwise():
    cut, right = credited([rollout(finish="length"), rollout(reward=1)])
    assert (cut.advantage, right.advantage) == (-0.5, 0.5)
    assert cut.rl.sum() == pytest.approx(1)
    assert cut.penalty is None


def test_a_masked_response_is_out_of_the_loss_and_still_in_the_mean():
    cut, right, wrong = credited([rollout(finish="length"), rollout(reward=1), rollout()], mask_truncated=True)
    assert cut.advantage == 0
    assert not cut.rl.any()
    assert (right.advantage, wrong.advantage) == (pytest.approx(2 / 3), pytest.approx(-1 / 3))
    assert right.rl.all()
    assert wrong.rl.all()


def test_a_kept_second_look_is_never_masked():
    look, _ = credited([rethought(first=rollout()), rollout()], mask_truncated=True)
    assert look.rl.any()
    assert look.advantage == 0.5


def test_a_penalty_is_in_the_advantage_and_not_in_the_verdict():
    rollouts = [rollout(reward=1, length=10), rollout(reward=1, length=2)]
    long, short = credited(rollouts, penalty=partial(soft_penalty, max_tokens=10, buffer=4))
    assert (long.advantage, short.advantage) == (-0.5, 0.5)
    assert (long.penalty, short.penalty) == (-1.0, 0.0)
    assert long.rollout.verdict.reward == 1


def test_equal_rewards_and_no_penalty_still_teach_nothing():
    made = credited(
        [rollout(reward=0.3, length=n) for n in (2, 3, 4)], penalty=partial(soft_penalty, max_tokens=9, buffer=4)
    )
    assert [each.advantage for each in made] == [0.0] * 3
