"""What the benchmark of the gap says of log-probs, and its quick run."""

from pathlib import Path

import numpy as np
import pytest
from tests.benchmarks.running import quick_run
from tests.learner.given import experience, prompts

import precision_gap
from rethinker.models.vlm import VLM


def test_the_gap_is_of_tokens_and_of_whole_responses(tiny_vlm: VLM) -> None:
    shown, _ = prompts(tiny_vlm)
    engine = [np.array([-1.0, -2.0]), np.array([-1.0])]
    off = [np.array([0.1, 0.5]), np.array([-0.3])]
    given = [
        experience(shown, sample=n, length=len(each), advantage=0.5, logprobs=each) for n, each in enumerate(engine)
    ]
    found = precision_gap.gap(given, [one + by for one, by in zip(engine, off, strict=True)])
    assert found["tokens"] == 3
    assert found["gap_mean"] == pytest.approx(0.3)
    assert found["gap_max"] == pytest.approx(0.5)
    assert found["ratio_mean"] == pytest.approx(np.exp([0.1, 0.5, -0.3]).mean())
    assert found["beyond_clip"] == pytest.approx(2 / 3)  # e^0.5 and e^−0.3
    assert found["beyond_cap"] == 0
    assert found["response_p99"] == pytest.approx(np.quantile(np.exp([0.6, -0.3]), 0.99))


def test_the_quick_run_has_every_way_to_take_the_gap(tmp_path: Path) -> None:
    report, printed = quick_run("precision_gap.py", tmp_path)
    assert precision_gap.tables(report) in printed
    (row,) = report["rows"]
    assert row["gap_mean"] > 1e-5  # an engine in half precision
    assert [effect["arm"] for effect in row["effects"]] == list(precision_gap.ARMS)
    own, asked, corrected = row["effects"]
    assert own["first_ratio"] == pytest.approx(row["ratio_mean"], abs=1e-4)  # it carries the gap
    assert asked["first_ratio"] == pytest.approx(1, abs=1e-4)
    assert corrected["off"] <= asked["off"]
