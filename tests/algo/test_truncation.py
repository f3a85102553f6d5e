import pytest
from tests.algo.making import group, rethought, rollout

from rethinker.algo.truncation import first_length, is_truncated, soft_penalty


@pytest.mark.parametrize(
    ("length", "penalty"), [(1, 0), (12, 0), (13, -0.25), (14, -0.5), (16, -1), (17, -1), (40, -1)]
)
def test_the_penalty_falls_on_a_line_over_the_buffer(length, penalty):
    assert soft_penalty(group([rollout(length=length)]), max_tokens=16, buffer=4).tolist() == [penalty]


def test_a_buffer_as_long_as_the_limit_punishes_every_token():
    found = soft_penalty(group([rollout(length=n) for n in (4, 8)]), max_tokens=8, buffer=8)
    assert found.tolist() == [-0.5, -1]


def test_a_second_look_is_measured_by_its_first_response():
    look = rethought(first=rollout(length=3), trigger=5, second=50)
    assert first_length(look) == 3
    assert soft_penalty(group([look, rollout(length=3)]), max_tokens=16, buffer=16).tolist() == [-3 / 16] * 2


def test_only_the_length_limit_truncates():
    assert is_truncated(rollout(finish="length"))
    assert not is_truncated(rollout(length=400))
