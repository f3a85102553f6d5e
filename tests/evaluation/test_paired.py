"""Pass@k, paired intervals, McNemar's test and flips."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinker.evaluation.paired import (
    accuracy_interval,
    bootstrap_interval,
    difference_interval,
    flips,
    mcnemar,
    score_interval,
)
from rethinker.evaluation.pass_at_k import pass_at_k
from rethinker.runs.intervals import wilson


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_all_choices_of_k_that_hold_a_right_one(n: int, data: st.DataObject) -> None:
    correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    choices = [any(chosen) for chosen in combinations([True] * correct + [False] * (n - correct), k)]
    assert pass_at_k(n, correct, k) == pytest.approx(sum(choices) / len(choices), abs=1e-12)


def test_pass_at_k_holds_at_the_ends_and_for_many_samples() -> None:
    assert pass_at_k(5, 0, 5) == 0.0
    assert pass_at_k(5, 1, 5) == 1.0
    assert pass_at_k(100_000, 1, 50_000) == pytest.approx(0.5)
    assert pass_at_k(100_000, 100_000, 1) == 1.0


@given(st.integers(0, 8), st.integers(0, 8))
def test_mcnemar_counts_all_splits_at_least_as_uneven(lost: int, won: int) -> None:
    discordant = lost + won
    uneven = [abs(2 * sum(split) - discordant) >= abs(won - lost) for split in product((0, 1), repeat=discordant)]
    assert mcnemar(lost, won) == pytest.approx(min(1.0, sum(uneven) / 2**discordant))


def test_mcnemar_is_exact_for_thousands_of_discordant_questions() -> None:
    assert mcnemar(1500, 1500) == 1.0
    assert 0 < mcnemar(0, 1000) < 1e-300
    assert mcnemar(1450, 1550) == pytest.approx(0.0707, abs=5e-4)


def test_flips_are_named_in_the_questions_order() -> None:
    first = {"b": True, "a": False, "d": True, "c": True}
    found = flips(first, {"a": True, "b": False, "c": False, "d": True})
    assert found.right_to_wrong == ("b", "c")
    assert found.wrong_to_right == ("a",)
    assert found.p == 1.0


def test_a_bootstrap_interval_is_repeatable_and_its_own() -> None:
    scores, weights = np.random.default_rng(0).random(200), np.ones(200)
    first = bootstrap_interval(scores, weights, seed=1, key="a")
    assert first == bootstrap_interval(scores, weights, seed=1, key="a")
    assert first == bootstrap_interval(scores[::-1], weights, seed=1, key="a"), "the order of questions is nothing"
    assert first != bootstrap_interval(scores, weights, seed=2, key="a")
    assert first != bootstrap_interval(scores, weights, seed=1, key="b")


def test_drawing_equal_questions_together_is_drawing_questions() -> None:
    """Against plain resampling of indices, weights included."""
    rng = np.random.default_rng(3)
    scores, weights = rng.integers(-1, 2, 300).astype(float), rng.choice([0.2, 1.0, 3.0], 300)
    rows = rng.integers(0, 300, (20_000, 300))
    plain = (scores[rows] * weights[rows]).sum(1) / weights[rows].sum(1)
    ours = bootstrap_interval(scores, weights, seed=0, key="x", resamples=20_000)
    assert ours == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.004)


def test_right_and_wrong_take_wilson_and_all_else_the_bootstrap() -> None:
    ones = np.ones(40)
    assert accuracy_interval(np.array([1.0] * 30 + [0.0] * 10), ones, seed=0, key="x") == wilson(30, 40)
    low, high = accuracy_interval(np.array([0.75] * 20 + [0.25] * 20), ones, seed=0, key="x")
    assert low < 0.5 < high
    assert high - low < wilson(20, 40)[1] - wilson(20, 40)[0]
    tasks = np.array([1.0] * 20 + [0.1] * 20)
    assert accuracy_interval(np.array([1.0, 0.0] * 20), tasks, seed=0, key="x") != wilson(20, 40)


def supposed(lost: int, won: int, questions: int, difference: float) -> float:
    """Tango's statistic with the likeliest share found by trying them all."""
    shares = np.linspace(max(0.0, -difference), (1 - difference) / 2, 200_001)[1:-1]
    same = np.log(np.maximum(1 - 2 * shares - difference, 1e-300)) * (questions - lost - won)
    share = shares[np.argmax(lost * np.log(shares) + won * np.log(shares + difference) + same)]
    return (won - lost - questions * difference) / np.sqrt(questions * (2 * share + difference * (1 - difference)))


@pytest.mark.parametrize(("lost", "won", "questions"), [(3, 7, 50), (12, 9, 400), (0, 2, 100), (5, 1, 20)])
def test_the_score_intervals_ends_are_what_a_score_test_just_rejects(lost: int, won: int, questions: int) -> None:
    low, high = score_interval(lost, won, questions)
    assert supposed(lost, won, questions, low) == pytest.approx(1.96, abs=0.01)
    assert supposed(lost, won, questions, high) == pytest.approx(-1.96, abs=0.01)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60))
def test_a_score_interval_is_within_its_bounds_and_the_other_way_round_its_mirror(
    lost: int, won: int, same: int
) -> None:
    questions = lost + won + same + 1
    low, high = score_interval(lost, won, questions)
    assert -1 <= low < (won - lost) / questions < high <= 1
    assert score_interval(won, lost, questions) == (-high, -low)


def test_with_few_flips_a_difference_has_a_score_interval_and_a_width_even_with_none() -> None:
    none, few, ones = np.zeros(100), np.array([1.0] * 3 + [0.0] * 97), np.ones(100)
    assert difference_interval(none, ones, seed=0, key="x") == score_interval(0, 0, 100)
    assert difference_interval(few, ones, seed=0, key="x") == score_interval(0, 3, 100)


@pytest.mark.parametrize(
    ("differences", "weights"),
    [
        ([1.0] * 15 + [-1.0] * 15 + [0.0] * 70, [1.0] * 100),
        ([0.5] * 3 + [0.0] * 97, [1.0] * 100),
        ([1.0] * 3 + [0.0] * 97, [0.5] * 50 + [1.0] * 50),
    ],
    ids=["many flips", "several samples", "means over tasks"],
)
def test_all_other_differences_are_bootstrapped(differences: list[float], weights: list[float]) -> None:
    scores, of = np.array(differences), np.array(weights)
    assert difference_interval(scores, of, seed=0, key="x") == bootstrap_interval(scores, of, seed=0, key="x")
