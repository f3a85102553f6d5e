"""Simulation: do 95 % intervals hold the truth 95 times in 100? All cases: `benchmarks/interval_coverage.py`."""

import pytest
from benchmarks.interval_coverage import difference_coverage, wilson_coverage


@pytest.mark.parametrize(("share", "questions"), [(0.3, 300), (0.5, 1000), (0.75, 1000)])
def test_wilson_covers(share: float, questions: int) -> None:
    assert 0.93 <= wilson_coverage(share, questions, trials=3000) <= 0.97


@pytest.mark.parametrize(
    ("questions", "lost", "won"),
    [(100, 0.01, 0.03), (300, 0.0, 0.02), (300, 0.08, 0.12), (1000, 0.05, 0.05), (1000, 0.1, 0.2)],
)
def test_paired_differences_cover(questions: int, lost: float, won: float) -> None:
    assert 0.93 <= difference_coverage(questions, lost, won, trials=1500, resamples=1000) <= 0.97


def test_where_hardly_a_question_flips_the_interval_is_wide_and_never_narrow() -> None:
    assert difference_coverage(100, 0.0, 0.02, trials=1000, resamples=100) >= 0.95
    assert difference_coverage(100, 0.01, 0.01, trials=1000, resamples=100) >= 0.95
