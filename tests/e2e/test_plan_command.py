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
        (("--gpus", "0"), "--gpus 0: must be above 0"),
        (("--memory", "0"), "--memory 0: must be above 0"),
        (("model.path=someone/else",), "no config.json is known for model.path=someone/else"),
        (("model.freeze=[visoin]",), "model.freeze[0]: got 'visoin', expected 'vision', 'projector' or 'language'"),
    ],
)
def test_a_plan_that_cannot_be_made_says_why(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rethinker("plan", RECIPES / "tiny.yaml", *arguments) == 1
    assert message in capsys.readouterr().err


def test_many_gpus_are_answered_with_phases_sizes_and_where_they_stop(capsys: pytest.CaptureFixture[str]) -> None:
    paper = (RECIPES / "paper-stage1.yaml", RECIPES / "paper-7b.yaml")
    more = ("--gpus", "64", "--gpu", "A800-80", "--engine-gpus", "32", "--staleness", "1", "verifier.workers=64")
    assert rethinker("plan", *paper, *more) == 0
    shown = capsys.readouterr().out
    assert "a step on 64 A800-80 in 8 nodes: 32 learner ranks, 32 engines of 1 on 32 of their own; staleness 1" in shown
    for part in ("generate", "longest response", "learn", "arithmetic", "meanwhile", "together", "4,096", "against 8"):
        assert part in shown
    assert "stops scaling at 256 GPUs: 512 are 1.00 times as fast; what holds back is learn: too few groups" in shown


def test_a_model_that_does_not_fit_on_so_few_is_shown_where_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    paper = (RECIPES / "paper-stage1.yaml", RECIPES / "paper-72b.yaml")
    assert rethinker("plan", *paper, "--gpus", "8") == 1
    shown = capsys.readouterr().out
    assert "there is no room for the learner's shards" in shown
    assert "against 32" in shown


def test_one_gpu_is_planned_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    assert rethinker("plan", RECIPES / "geometry3k-3b.yaml") == 0
    shown = capsys.readouterr().out
    assert "learning 48 s, generating 52 s, at 20% and 5% of 989 TFLOPS" in shown
    assert "of 80 GB per GPU: fits" in shown
    assert "learner ranks" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gpus", "12"), "--gpus 12 are no whole number of nodes of 8 GPUs; take 8 or 16"),
        (("--gpu", "B9"), "--gpu B9: no such kind is known; known are A100-80"),
        (("--gpus", "8", "--tensor-parallel", "3"), "--tensor-parallel 3 does not divide a node of 8 GPUs"),
        (("--gpus", "8", "--staleness", "1"), "give engines GPUs of their own with --engine-gpus (half: 4)"),
        (("--engine-gpus", "-1"), "must not be below 0"),
    ],
)
def test_gpus_that_cannot_be_laid_out_are_refused(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rethinker("plan", RECIPES / "tiny.yaml", *arguments) == 1
    assert message in capsys.readouterr().err
