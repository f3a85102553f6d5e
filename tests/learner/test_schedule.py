from __future__ import annotations

from itertools import pairwise

import pytest

from rethinker.learner.schedule import lr_at


def rates(steps: int, *, warmup: float, final: float = 0.5) -> list[float]:
    return [lr_at(step, peak=2.0, steps=steps, warmup=warmup, final=final) for step in range(1, steps + 1)]


def test_it_rises_evenly_to_the_peak_and_falls_to_the_final_share() -> None:
    found = rates(100, warmup=0.05)
    assert found[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert all(later < earlier for earlier, later in pairwise(found[4:]))
    assert found[-1] == pytest.approx(1.0)


def test_halfway_down_it_is_halfway_between_peak_and_end() -> None:
    assert lr_at(60, peak=2.0, steps=100, warmup=0.2, final=0.5) == pytest.approx(1.5)


@pytest.mark.parametrize("warmup", [0.0, 0.03, 0.015, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 70])
def test_every_update_moves_and_none_exceeds_the_peak(steps: int, warmup: float) -> None:
    found = rates(steps, warmup=warmup, final=0.1)
    assert all(0 < rate <= 2.0 for rate in found)


def test_without_warm_up_it_starts_at_the_top() -> None:
    assert rates(1000, warmup=0.0)[0] == pytest.approx(2.0, rel=1e-5)


def test_a_warm_up_of_everything_ends_at_the_peak() -> None:
    assert rates(10, warmup=1.0) == pytest.approx([0.2 * step for step in range(1, 11)])


def test_after_the_last_step_it_stays_at_the_end() -> None:
    assert lr_at(15, peak=2.0, steps=10, warmup=0.1, final=0.5) == pytest.approx(1.0)


def test_a_final_share_of_1_is_constant() -> None:
    assert rates(10, warmup=0.0, final=1.0) == pytest.approx([2.0] * 10)
