import numpy as np
import pytest
from tests.algo.making import group, rethought, rollout

from rethinker.algo.advantages import grpo
from rethinker.algo.credit import credit


def credited(rollouts, *, normalisation="sequence_mean", imitation="second_look"):
    return credit(group(rollouts), advantages=grpo, normalisation=normalisation, imitation=imitation)


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


def test_token_mean_weights_are_one():
    (only,) = credited([rollout(length=5)], normalisation="token_mean")
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
