"""Every recipe resolves, says where its values come from, and fits where it says it does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rethinker.commands.plan import plan_of, shape
from rethinker.config import Config
from rethinker.config_files import load, load_as
from rethinker.warmup_config import WarmupConfig

RECIPES = Path(__file__).parents[1] / "recipes"

STAGE_1 = ("paper-stage1",)
STAGE_2 = ("paper-stage1", "paper-stage2")
SIZES = ("paper-7b", "paper-32b", "paper-72b")

RUNS = [
    ("tiny",),
    ("tiny-vllm",),
    ("tiny-ray",),
    ("logicvista",),
    ("geometry3k-3b",),
    ("lora-7b",),
    *((*stage, size) for stage in (STAGE_1, STAGE_2) for size in SIZES),
]


def resolved(*names: str) -> Config:
    return load([RECIPES / f"{name}.yaml" for name in names])


def test_every_file_is_part_of_a_run_that_is_tested() -> None:
    assert {path.stem for path in RECIPES.glob("*.yaml")} == {name for run in RUNS for name in run} | {"warmup"}
    load_as(WarmupConfig, [RECIPES / "warmup.yaml"])


@pytest.mark.parametrize("names", RUNS, ids="+".join)
def test_a_recipe_resolves(names: tuple[str, ...]) -> None:
    assert resolved(*names).run.recipe == names[0]


def test_tiny_vllm_is_tiny_with_another_engine() -> None:
    tiny, vllm = resolved("tiny"), resolved("tiny-vllm")
    assert vllm.engine.kind == "vllm"
    assert vllm.model_copy(update={"engine": tiny.engine, "run": tiny.run}) == tiny


def test_tiny_ray_is_tiny_vllm_in_processes_of_its_own() -> None:
    vllm, ray = resolved("tiny-vllm"), resolved("tiny-ray")
    assert ray.cluster.kind == "ray"
    assert ray.engines_apart
    assert ray.model_copy(update={"cluster": vllm.cluster, "run": vllm.run}) == vllm


@pytest.mark.parametrize("size", SIZES)
def test_the_papers_stages_differ_in_rethinking_and_its_prompt_alone(size: str) -> None:
    first, second = resolved(*STAGE_1, size), resolved(*STAGE_2, size)
    assert (first.rethink.kind, first.prompt.kind) == ("none", "plain")
    assert (second.rethink.kind, second.prompt.kind) == ("forced", "rethinking")
    same = {"prompt": first.prompt, "rethink": first.rethink}
    assert second.model_copy(update=same) == first


def test_sizes_differ_in_model_and_subset_alone() -> None:
    seven, large, largest = (resolved(*STAGE_1, size) for size in SIZES)
    assert [c.model.path.split("-")[2] for c in (seven, large, largest)] == ["7B", "32B", "72B"]
    assert [c.data.subset for c in (seven, large, largest)] == ["virl-7b", "virl-32b", "virl-32b"]  # type: ignore[union-attr]
    assert all(c.model_copy(update={"model": seven.model, "data": seven.data}) == seven for c in (large, largest))


def test_the_papers_recipe_is_the_papers() -> None:
    config = resolved(*STAGE_2, "paper-7b")
    assert (config.sampler.queries, config.sampler.group_size, config.train.updates_per_episode) == (1024, 8, 16)
    assert (config.model.min_pixels, config.model.max_pixels) == (256 * 28 * 28, 1280 * 28 * 28)
    assert (config.advantage.kind, config.replay.kind, config.objective.kl_coefficient) == ("grpo", "ssr", 0)
    assert (config.objective.clip_low, config.objective.clip_high, config.learner.lr) == (0.2, 0.35, 1e-6)
    assert config.model.freeze == ()


@pytest.mark.parametrize("name", ["paper-stage1", "paper-stage2", *SIZES])
def test_every_value_of_the_papers_recipes_says_whose_it_is(name: str) -> None:
    lines = (RECIPES / f"{name}.yaml").read_text().splitlines()
    values = [line for line in lines if re.match(r"^ *\w+: +\S", line) and not line.lstrip().startswith("kind:")]
    assert values
    assert [line for line in values if not re.search(r"#.*\b(paper|code|ours)\b", line)] == []


@pytest.mark.parametrize(
    ("names", "gpus", "gigabytes"),
    [
        (("tiny",), 1, 8),
        (("geometry3k-3b",), 1, 80),
        (("lora-7b",), 1, 24),
        ((*STAGE_2, "paper-7b"), 8, 80),
        ((*STAGE_2, "paper-32b"), 32, 80),
        ((*STAGE_2, "paper-72b"), 64, 80),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_recipe_fits_the_gpus_it_names(names: tuple[str, ...], gpus: int, gigabytes: float) -> None:
    config = resolved(*names)
    assert plan_of(config, shape(config), gpus=gpus).fits(gigabytes)


def test_a_plan_counts_vllms_own_weights_while_it_is_awake() -> None:
    own = resolved("tiny")
    asleep = resolved("tiny-vllm")
    assert asleep.engine.kind == "vllm"
    awake = asleep.model_copy(update={"engine": asleep.engine.model_copy(update={"sleep": False})})
    model = shape(own)
    weights = {"engine's weights": model.total.total * 4}
    moments = [plan_of(config, model, gpus=1).memory.moments for config in (own, asleep, awake)]
    plain, slept, stayed = ({name: "engine's weights" in parts for name, parts in each.items()} for each in moments)
    assert not any(plain.values())
    assert slept == {name: name != "update" for name in plain}
    assert all(stayed.values())
    assert all(weights.items() <= parts.items() for parts in moments[2].values())
