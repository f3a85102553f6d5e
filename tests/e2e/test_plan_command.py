"""`rethinker plan` on recipes as they are: what it says, and what it returns."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.runs import rethinker

RECIPES = Path(__file__).parents[2] / "recipes"


def test_a_plan_shows_every_part_and_says_that_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert rethinker("plan", RECIPES / "tiny.yaml", "--memory", "8") == 0
    shown = capsys.readouterr().out
    for part in (
        "vision",
        "language",
        "weights",
        "optimiser",
        "gradients",
        "activations",
        "logits",
        "KV cache",
        "evaluation",
    ):
        assert part in shown
    assert "of 8 GB per GPU: fits" in shown
    assert "tokens learned" in shown


def test_what_does_not_fit_is_told_what_would_make_it(capsys: pytest.CaptureFixture[str]) -> None:
    much = ("engine.max_rows=64", "engine.cache_bytes=16000000000")
    assert rethinker("plan", RECIPES / "lora-7b.yaml", *much, "--memory", "24") == 1
    shown = capsys.readouterr().out
    assert "does not fit" in shown
    assert "to make it fit: engine.max_rows=" in shown


def test_overrides_may_follow_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert rethinker("plan", RECIPES / "tiny.yaml", "--memory", "8", "engine.max_rows=24") == 0
    assert "24 of evaluation" in capsys.readouterr().out
    assert rethinker("plan", RECIPES / "tiny.yaml", "--rows", "8") == 2
    assert "unrecognized arguments: --rows 8" in capsys.readouterr().err


def test_full_training_on_a_small_gpu_is_answered_with_an_adapter_or_more_gpus(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert rethinker("plan", RECIPES / "geometry3k-3b.yaml", "--memory", "24") == 1
    shown = capsys.readouterr().out
    assert "to make it fit: model.adapter.kind=lora model.dtype=bfloat16" in shown
    assert "; or " in shown
    assert "--gpus 4" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gpus", "0"), "--gpus 0 --memory 80: both must be above 0"),
        (("model.path=someone/else",), "no config.json is known for model.path=someone/else"),
        (("model.freeze=[visoin]",), "model.freeze[0]: got 'visoin', expected 'vision', 'projector' or 'language'"),
    ],
)
def test_a_plan_that_cannot_be_made_says_why(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rethinker("plan", RECIPES / "tiny.yaml", *arguments) == 1
    assert message in capsys.readouterr().err
