"""The summary's fields are the published ones, and its intervals are Wilson's."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethinker.runs.intervals import wilson
from rethinker.runs.summary import Summary


def test_summary_is_flat_json_with_the_published_names():
    summary = Summary(
        problems=1000,
        accuracy_before=0.25,
        accuracy_after=0.5,
        accuracy_before_interval=(0.2, 0.3),
        accuracy_after_interval=(0.45, 0.55),
        rethinking_before=0.01,
        rethinking_after=0.3,
        wrong_to_right=0.05,
        right_to_wrong=0.01,
        seconds=500.0,
        peak_memory_bytes=10**9,
    )
    assert json.loads(json.dumps(summary.to_json())) == {
        "problems": 1000,
        "accuracy_before": 0.25,
        "accuracy_after": 0.5,
        "accuracy_before_interval": [0.2, 0.3],
        "accuracy_after_interval": [0.45, 0.55],
        "rethinking_before": 0.01,
        "rethinking_after": 0.3,
        "wrong_to_right": 0.05,
        "right_to_wrong": 0.01,
        "seconds": 500.0,
        "peak_memory_bytes": 10**9,
    }


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(5, 10, 0.236593, 0.763407), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0), (815, 1000, 0.789747, 0.837861)],
)
def test_wilson_against_published_values(successes, count, low, high):
    assert wilson(successes, count) == pytest.approx((low, high), abs=2e-5)


def test_no_trials_say_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


@settings(deadline=None)
@given(st.integers(1, 10**6).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_interval_holds_the_share_and_stays_within_zero_and_one(case):
    successes, count = case
    low, high = wilson(successes, count)
    assert 0 <= low <= successes / count <= high <= 1
    mirrored = wilson(count - successes, count)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)
