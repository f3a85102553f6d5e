"""Five steps of `recipes/tiny-vllm.yaml` and `recipes/tiny-ray.yaml` as a user runs them; engine and learner agree."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.e2e import runs
from tests.evaluation.hub_folders import write_hub_folders

RECIPES = Path(__file__).parents[2] / "recipes"
RECIPE = RECIPES / "tiny-vllm.yaml"

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")]

SMALL = (
    "threads=1",
    "train.steps=5",
    "train.updates_per_episode=1",
    "sampler.queries=2",
    "sampler.group_size=4",
    "sampler.first.max_tokens=48",
    "rethink.share=0.9",
    "rethink.second_look.max_tokens=24",
    "learner.lr=0.001",
    "evaluation.every=0",
    "evaluation.validation_problems=2",
    "evaluation.test_problems=4",
    "evaluation.max_tokens=48",
    "checkpoints.every=5",
    "engine.cache_bytes=50000000",
)


@pytest.mark.parametrize(
    "recipe",
    [
        ["tiny-vllm.yaml"],
        ["tiny-ray.yaml"],
        ["tiny-ray.yaml", "cluster.colocated=true"],
        ["tiny-ray.yaml", "engine.transfer=direct", "engine.replicas=2"],
    ],
    ids="+".join,
)
def test_five_steps_end_with_engine_and_learner_agreed(tmp_path: Path, recipe: list[str]) -> None:
    name, *overrides = recipe
    if "ray" in name and find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    process = runs.spawn("train", RECIPES / name, f"run.dir={tmp_path / 'run'}", *SMALL, *overrides, folder=tmp_path)
    _, error = process.communicate(timeout=400)
    assert process.returncode == 0, error[-3000:]
    rows = runs.metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    for row in rows:
        assert row["behaviour/recomputed"] == 1
        assert row["behaviour/moved"] < 1e-4
    measured = [row for row in rows if row["policy/engine_gap_max"] is not None]
    assert measured
    assert max(row["policy/engine_gap_max"] for row in measured) < 1e-4
    corrected = [row for row in rows if "policy/correction" in row]
    assert corrected
    assert all(abs(row["policy/correction"] - 1) < 1e-3 for row in corrected)
    assert all(row["policy/correction_capped"] == 0 for row in corrected)
    assert runs.summary(tmp_path / "run")["problems"] == 4


def test_a_gap_beyond_the_bound_stops_the_run_with_its_causes(tmp_path: Path) -> None:
    """Weights of half precision for the engine alone."""
    run = tmp_path / "run"
    process = runs.spawn(
        "train", RECIPE, f"run.dir={run}", *SMALL, "engine.dtype=bfloat16", "replay.kind=none", folder=tmp_path
    )
    _, error = process.communicate(timeout=400)
    assert process.returncode == 1, error[-3000:]
    said = " ".join(error.split())
    assert "beyond engine.max_gap=0.001" in said
    assert "Likely causes" in said
    assert "engine.dtype" in said


def test_an_evaluation_through_vllm_has_the_torch_engines_answers(tmp_path: Path) -> None:
    write_hub_folders(tmp_path / "data", ["mmmu"])
    answers = {}
    for engine in ("torch", "vllm"):
        command = ["eval", "tiny", "--benchmarks", "mmmu", "--data", tmp_path / "data", "--max-tokens", "16"]
        process = runs.spawn(*command, "--to", tmp_path / engine, "--engine", engine, folder=tmp_path)
        _, error = process.communicate(timeout=400)
        assert process.returncode == 0, error[-3000:]
        lines = (tmp_path / engine / "mmmu" / "rows.jsonl").read_text().splitlines()
        answers[engine] = [(row["id"], row["response"]) for row in map(json.loads, lines)]
    assert len(answers["torch"]) == 6
    assert answers["vllm"] == answers["torch"]
