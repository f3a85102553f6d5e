"""A short run of every objective and of every way with cut responses, through the command line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import runs

SHORT = (
    "train.steps=3",
    "train.updates_per_episode=3",  # so that the second and third update are off policy
    "learner.lr=3e-3",
    "sampler.first.temperature=1.4",
    "sampler.first.max_tokens=10",  # an answer in order has 9
    "evaluation.every=0",
    "evaluation.validation_problems=2",
    "evaluation.test_problems=2",
    "checkpoints.every=9",
)

VARIANTS = {
    "clip": (),
    "dual_clip": ("objective.kind=dual_clip", "objective.dual_clip=1.01"),
    "gspo": ("objective.kind=gspo",),
    "dr_grpo": ("objective.normalisation=constant", "advantage.kind=grpo"),
    "entropy": ("objective.entropy_coefficient=0.05",),
    "mask": ("truncation.kind=mask",),
    "soft_penalty": ("truncation.kind=soft_penalty", "truncation.buffer=6"),
}


@pytest.fixture(scope="module")
def place(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objectives")
    runs.write_recipe(folder, talker)
    return folder


@pytest.fixture(scope="module")
def steps(place: Path) -> dict[str, list[dict[str, Any]]]:
    """The metrics of three steps of every variant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name, overrides in VARIANTS.items():
            runs.train(Path("recipe.yaml"), Path(name), *SHORT, *overrides)
    return {name: runs.metrics(place / name) for name in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_trains_with_finite_figures(steps: dict[str, list[dict[str, Any]]], variant: str) -> None:
    rows = steps[variant]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert sum(row["policy/skipped"] for row in rows) == 0
    assert all(math.isfinite(row["policy/loss"]) and row["policy/grad_norm"] > 0 for row in rows)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "clip"])
def test_every_variant_trains_another_model(place: Path, steps: dict[str, list[dict[str, Any]]], variant: str) -> None:
    assert runs.weights(place / variant, 3) != runs.weights(place / "clip", 3)


def test_all_start_from_the_same_responses(steps: dict[str, list[dict[str, Any]]]) -> None:
    for rows in steps.values():
        assert rows[0]["reward/mean"] == steps["clip"][0]["reward/mean"]
        assert rows[0]["tokens/truncated"] == steps["clip"][0]["tokens/truncated"] > 0


def test_the_variants_count_what_they_did(steps: dict[str, list[dict[str, Any]]]) -> None:
    assert max(row["policy/dual_clip_fraction"] for row in steps["dual_clip"]) > 0
    assert max(row["policy/clip_fraction"] for row in steps["gspo"]) > 0
    assert steps["mask"][0]["tokens/masked"] > 0
    assert steps["clip"][0]["tokens/masked"] == 0
    assert steps["soft_penalty"][0]["reward/length_penalty"] < 0
    assert steps["clip"][0]["reward/length_penalty"] is None
