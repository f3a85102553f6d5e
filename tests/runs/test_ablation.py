import math

import pytest

from rethinker.runs.ablation import Ablation, estimate, markdown


def test_an_interval_is_students_t_over_the_seeds():
    found = estimate([0.5, 0.6, 0.7, 0.6, 0.6])
    half = 2.776 * math.sqrt(0.02 / 4) / math.sqrt(5)
    assert found.mean == pytest.approx(0.6)
    assert (found.low, found.high) == (pytest.approx(0.6 - half, abs=1e-6), pytest.approx(0.6 + half, abs=1e-6))


def test_one_seed_has_no_interval():
    found = estimate([0.5])
    assert (found.mean, found.low, found.high) == (0.5, None, None)


def test_equal_seeds_have_an_interval_of_no_width():
    found = estimate([0.25] * 3)
    assert found.low == found.high == 0.25


def test_an_interval_ends_where_no_value_can_be():
    found = estimate([0.2, 0.9], least=0.0, most=1.0)
    assert (found.low, found.mean, found.high) == (0.0, pytest.approx(0.55), 1.0)


def test_the_page_shows_shares_as_percent_and_counts_as_counts():
    figures = {
        name: estimate([value, value])
        for name, value in {
            "accuracy": 0.5,
            "rethinking": 0.0,
            "wrong_to_right": 0.0,
            "effective": 1.0,
            "mixed": 0.1,
            "tokens": 123_456.0,
            "seconds": 61.2,
        }.items()
    }
    page = markdown(
        Ablation(arms={"GRPO": figures}, runs={"GRPO": ["a", "b"]}, differences={}, start=0.25, about={"seeds": "2"})
    )
    assert "| GRPO | 50.0 % (50.0 % to 50.0 %) |" in page
    assert "| 123,456 (123,456 to 123,456) | 61 (61 to 61) |" in page
    assert "accuracy before training: 25.0%" in page
