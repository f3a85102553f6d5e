"""What the learner makes of an engine that is a little, or far, beside it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.conftest import copied
from tests.learner.given import batch

from rethinker.errors import RethinkerError
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.vlm import VLM
from rethinker.types import Experience


def learner(vlm: VLM, objective: Objective | None = None, **settings: float) -> PolicyLearner:
    optimisation = Optimisation(steps=100, lr=1e-3)
    return PolicyLearner(copied(vlm), objective=objective or Objective(), optimisation=optimisation, **settings)


def sampled_beside(vlm: VLM, by: float) -> list[Experience]:
    """Experience of an engine whose log-probs are lower by so much than the learner's, which stand as old."""
    given = batch(vlm)
    old = learner(vlm).token_logprobs(given)
    return [
        replace(each, advantage=0.5, old=own, rollout=replace(each.rollout, logprobs=(own - by).astype(np.float32)))
        for each, own in zip(given, old, strict=True)
    ]


def test_a_gap_beyond_the_bound_stops_before_the_weights_move(tiny_vlm: VLM) -> None:
    made = learner(tiny_vlm, max_gap=0.2)
    before = [weight.clone() for weight in made.vlm.module.parameters()]
    with pytest.raises(RethinkerError, match=r"0\.3 nats from the learner's on average.*engine\.max_gap=0\.2.*type"):
        made.update(sampled_beside(tiny_vlm, by=0.3))
    assert all((a == b).all() for a, b in zip(before, made.vlm.module.parameters(), strict=True))


def test_a_gap_within_the_bound_does_not(tiny_vlm: VLM) -> None:
    metrics = learner(tiny_vlm, max_gap=0.2).update(sampled_beside(tiny_vlm, by=0.1))
    assert metrics["policy/engine_gap_mean"].value == pytest.approx(0.1, abs=1e-3)
    assert metrics["policy/ratio_mean"].value == pytest.approx(1, abs=1e-4)  # old is the learner's own


@pytest.mark.parametrize(("by", "factor", "capped"), [(0.3, math.exp(0.3), 0.0), (1.0, 2.0, 1.0)])
def test_the_correction_is_in_the_loss_and_not_in_what_it_is_divided_by(
    tiny_vlm: VLM, by: float, factor: float, capped: float
) -> None:
    chosen = sampled_beside(tiny_vlm, by=by)
    plainly = learner(tiny_vlm).update(chosen)
    corrected = learner(tiny_vlm, Objective(correction="token")).update(chosen)
    assert corrected["policy/loss"].value == pytest.approx(factor * plainly["policy/loss"].value, rel=1e-4)
    assert corrected["policy/correction"].value == pytest.approx(factor, rel=1e-4)
    assert corrected["policy/correction_capped"].value == capped
    assert "policy/correction" not in plainly


def test_a_response_has_the_product_of_its_tokens(tiny_vlm: VLM) -> None:
    chosen = sampled_beside(tiny_vlm, by=0.02)
    objective = Objective(correction="sequence", ratio_cap=10.0)
    metrics = learner(tiny_vlm, objective).update(chosen)
    lengths = [len(each.rl) for each in chosen]
    expected = sum(length * math.exp(0.02 * length) for length in lengths) / sum(lengths)
    assert metrics["policy/correction"].value == pytest.approx(expected, rel=1e-3)
