import numpy as np
import pytest

from rethinker.algo.advantages import grpo, grpo_std, rloo

ESTIMATORS = [grpo, grpo_std, rloo]


def rewards(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_grpo_subtracts_the_group_mean():
    assert grpo(rewards(1, 0, 0, 0)).tolist() == [0.75, -0.25, -0.25, -0.25]


def test_grpo_std_divides_by_the_population_std_without_epsilon():
    # mean 1/4, population std √3/4; the sample std would give 1.5 for the first.
    np.testing.assert_allclose(grpo_std(rewards(1, 0, 0, 0)), [np.sqrt(3), *[-1 / np.sqrt(3)] * 3], rtol=1e-6)


def test_rloo_subtracts_the_mean_of_the_others():
    np.testing.assert_allclose(rloo(rewards(1, 0, 0)), [1.0, -0.5, -0.5])


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1 / 3])
def test_all_equal_rewards_give_exactly_zero(estimator, value):
    # 0.1 is the trap: the rounded mean of seven of them differs from 0.1.
    assert estimator(rewards(*[value] * 7)).tolist() == [0.0] * 7


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_group_of_one_gives_exactly_zero(estimator, value):
    assert estimator(rewards(value)).tolist() == [0.0]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_smallest_difference_of_rewards_is_a_signal(estimator):
    advantages = estimator(rewards(1.0, 1.0, np.nextafter(np.float32(1), np.float32(0))))
    assert np.isfinite(advantages).all()
    assert advantages[0] > 0 > advantages[2]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_advantages_are_float32_and_leave_the_rewards_alone(estimator):
    given = rewards(1, 0.5, 0)
    assert estimator(given).dtype == np.float32
    assert given.tolist() == [1, 0.5, 0]
