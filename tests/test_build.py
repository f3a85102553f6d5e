"""What is configured is what runs: every key of the method, none at its default, is found again in the built part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.evaluation import hub_folders

from rethinker.algo import advantages
from rethinker.algo.replay import Filter, NoReplay, SelectiveSampleReplay
from rethinker.algo.truncation import soft_penalty
from rethinker.build import build
from rethinker.build_benchmarks import spread
from rethinker.build_learner import asks_again
from rethinker.config import Config
from rethinker.interfaces import Sampling
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.runs.folder import RunFolder
from rethinker.train import Cadence, Parts

TREE: dict[str, Any] = {
    "seed": 7,
    "device": "cpu",
    "threads": 1,
    "prompt": {"kind": "rethinking", "max_tokens": 701},
    "engine": {"kind": "torch", "max_rows": 33, "cache_bytes": 3_000_000, "read_tokens": 777},
    "sampler": {
        "kind": "dynamic",
        "queries": 15,
        "group_size": 6,
        "max_rounds": 9,
        "first": {"temperature": 0.91, "top_p": 0.92, "top_k": 93, "max_tokens": 94},
    },
    "rethink": {
        "kind": "forced",
        "share": 0.31,
        "max_kept": 4,
        "categories": ["self_verification", "self_correction"],
        "second_look": {"temperature": 0.81, "top_p": 0.82, "top_k": 83, "max_tokens": 84},
        "max_total_tokens": 5000,
        "imitation": "trajectory",
        "imitation_coefficient": 0.11,
    },
    "verifier": {
        "kind": "python",
        "function": "operator:contains",
        "threshold": 0.6,
        "workers": 2,
        "timeout_seconds": 3.5,
        "memory_bytes": 2_000_000_000,
    },
    "advantage": {"kind": "rloo"},
    "replay": {"kind": "ssr", "alpha": 1.7, "lifetime": 3, "capacity": 444},
    "objective": {
        "kind": "dual_clip",
        "clip_low": 0.13,
        "clip_high": 0.27,
        "dual_clip": 4.4,
        "ratio_cap": 3.3,
        "correction": "sequence",
        "normalisation": "constant",
        "divisor": 77,
        "kl_coefficient": 0.05,
        "entropy_coefficient": 0.002,
    },
    "truncation": {"kind": "soft_penalty", "buffer": 21},
    "learner": {
        "lr": 2e-4,
        "warmup": 0.07,
        "final_lr": 0.23,
        "betas": [0.81, 0.97],
        "weight_decay": 0.012,
        "grad_clip": 0.55,
        "max_nonfinite": 6,
        "micro_batch_tokens": 999,
        "share_prompts": False,
        "compile": True,
        "behaviour_logprobs": "learner",
        "optimizer": "adamw_8bit",
        "master_weights": False,
        "sharding": {"offload": True, "reshard_after_forward": False, "reduce_every_micro_batch": True},
    },
    "train": {"steps": 55, "updates_per_episode": 5},
    "evaluation": {
        "every": 17,
        "validation_problems": 18,
        "test_problems": 19,
        "marker": "hold on",
        "max_tokens": 21,
        "benchmarks": ["mathvision=testmini"],
        "data": "elsewhere",
        "limit": 2,
        "protocol": "official",
    },
    "checkpoints": {"every": 22, "keep": 23, "best": "eval/mathvision-testmini/accuracy", "fall_back": True},
}
GRPO: dict[str, Any] = {
    "sampler": {**TREE["sampler"], "kind": "plain"},
    "rethink": {"kind": "none"},
    "advantage": {"kind": "grpo"},
    "replay": {"kind": "none"},
    "truncation": {"kind": "mask"},
    "objective": {"kind": "gspo", "normalisation": "constant"},
}
FILTER: dict[str, Any] = {
    "advantage": {"kind": "grpo_std"},
    "replay": {"kind": "filter"},
    "truncation": {"kind": "score"},
    "objective": {"kind": "clip", "normalisation": "token_mean"},
}


def leaves(section: BaseModel, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, value, default) of every key of a section."""
    defaults = type(section)()
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value, getattr(defaults, name)


def built(folder: Path, **sections: dict[str, Any]) -> Parts:
    hub_folders.mathvision(folder.parent / "data" / "mathvision")
    evaluation = TREE["evaluation"] | {"data": str(folder.parent / "data")}
    parts = build(Config.model_validate(TREE | {"evaluation": evaluation} | sections), RunFolder.create(folder))
    parts.scorer.close()
    parts.tracker.close()
    parts.folder.close()
    return parts


@pytest.fixture(scope="module")
def grpo(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return built(tmp_path_factory.mktemp("built") / "run", **GRPO)


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return built(tmp_path_factory.mktemp("built") / "run", **FILTER)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return built(tmp_path_factory.mktemp("built") / "run")


def making(parts: Parts) -> dict[str, Any]:
    return held(held(parts.episodes)["maker"])


def held(part: object) -> dict[str, Any]:
    """What a part was made with, by the names of its arguments."""
    return {name.removeprefix("_"): value for name, value in vars(part).items()}


def test_no_key_is_left_at_its_default() -> None:
    """But for these kinds, of which the others are built, too, and for what acts on several processes alone."""
    config = Config.model_validate(TREE)
    at_default = {path for path, value, default in leaves(config) if path.split(".")[0] in TREE and value == default}
    kinds = {"engine.kind", "replay.kind", "rethink.kind", "objective.kind", "truncation.kind"}
    assert {path for path in at_default if not path.startswith("learner.sharding.")} == kinds | {"engine.replicas"}


def test_the_replay(parts: Parts, grpo: Parts, filtered: Parts) -> None:
    assert isinstance(parts.replay, SelectiveSampleReplay)
    made = held(parts.replay)
    assert (made["seed"], made["alpha"], made["lifetime"], made["buffer"].maxlen) == (7, 1.7, 3, 444)
    assert isinstance(grpo.replay, NoReplay)
    assert isinstance(filtered.replay, Filter)


def test_the_sampler(parts: Parts, grpo: Parts) -> None:
    made = held(making(parts)["sampler"])
    assert made["stream"] is parts.stream
    assert held(parts.stream)["seed"] == 7
    assert made["quarantine"] is parts.quarantine
    assert (made["seed"], made["template"], made["max_prompt_tokens"]) == (7, "rethinking", 701)
    assert (made["queries"], made["group_size"], made["rounds"]) == (15, 6, 9)
    assert made["sampling"] == Sampling(temperature=0.91, top_p=0.92, top_k=93, max_tokens=94)
    engine = held(made["engine"])
    admission = engine["admission"]
    assert (engine["max_rows"], admission.max_tokens, admission.cache_bytes) == (33, 777, 3_000_000)
    assert held(making(grpo)["sampler"])["rounds"] == 1


def test_forced_rethinking(parts: Parts, grpo: Parts) -> None:
    made = held(making(parts)["rethinker"])
    assert (made["seed"], made["share"], made["max_kept"]) == (7, 0.31, 4)
    assert made["categories"] == ("self_verification", "self_correction")
    assert made["sampling"] == Sampling(temperature=0.81, top_p=0.82, top_k=83, max_tokens=84)
    longest = max(len(ids) for ids in made["triggers"].values())
    assert made["room"] == 5000 - longest - 84
    assert making(grpo)["rethinker"] is None
    assert isinstance(grpo.learner, PolicyLearner)
    assert grpo.learner.objective.imitation_coefficient == 0


def test_the_credit_and_the_batches(parts: Parts, grpo: Parts, filtered: Parts) -> None:
    made = making(parts)
    credited, masked, scored = (making(each)["credit"].keywords for each in (parts, grpo, filtered))
    penalty = credited.pop("penalty")
    assert credited == {
        "advantages": advantages.rloo,
        "normalisation": "constant",
        "imitation": "trajectory",
        "mask_truncated": False,
    }
    assert (penalty.func, penalty.keywords) == (soft_penalty, {"max_tokens": 94, "buffer": 21})
    assert (masked["penalty"], masked["mask_truncated"]) == (None, True)
    assert (scored["penalty"], scored["mask_truncated"]) == (None, False)
    assert masked["advantages"] is advantages.grpo
    assert scored["advantages"] is advantages.grpo_std
    assert (made["seed"], held(parts.episodes)["updates"]) == (7, 5)
    assert made["marker"].before("so. Hold on, no") == "so. "


def test_the_objectives_by_kind(grpo: Parts, filtered: Parts) -> None:
    made = [each.learner for each in (grpo, filtered)]
    assert all(isinstance(each, PolicyLearner) for each in made)
    assert made[0].objective == Objective(
        ratio="sequence", clip_low=3e-4, clip_high=4e-4, correction="token", divisor=94
    )  # type: ignore[attr-defined]
    assert made[1].objective == Objective(correction="token", imitation_coefficient=0.11)  # type: ignore[attr-defined]


def test_the_learner(parts: Parts) -> None:
    made = parts.learner
    assert isinstance(made, PolicyLearner)
    assert made.objective == Objective(
        clip_low=0.13,
        clip_high=0.27,
        dual_clip=4.4,
        ratio_cap=3.3,
        correction="sequence",
        divisor=77,
        imitation_coefficient=0.11,
        kl_coefficient=0.05,
        entropy_coefficient=0.002,
    )
    assert made.optimisation == Optimisation(
        steps=55,
        lr=2e-4,
        warmup=0.07,
        final_lr=0.23,
        betas=(0.81, 0.97),
        weight_decay=0.012,
        grad_clip=0.55,
        max_nonfinite=6,
        micro_batch_tokens=999,
        share_prompts=False,
        compile=True,
        optimizer="adamw_8bit",
        master_weights=False,
    )
    assert made.reference is not None
    assert made.reference.module is not made.vlm.module
    assert not any(weight.requires_grad for weight in made.reference.module.parameters())


def test_the_verifier(parts: Parts) -> None:
    pool = held(held(parts.scorer)["pool"])
    work = pool["work"]
    assert len(pool["threads"]) == 2
    assert (work.settings["function"], work.settings["threshold"]) == ("operator:contains", 0.6)
    assert (work.timeout_seconds, work.settings["memory_bytes"]) == (3.5, 2_000_000_000)


def test_measuring_and_saving(parts: Parts) -> None:
    best = "eval/mathvision-testmini/accuracy"
    assert parts.cadence == Cadence(steps=55, evaluate_every=17, save_every=22, best=best)
    assert held(parts.checkpoints)["keep"] == 23
    assert (len(parts.validation), len(parts.test)) == (18, 19)
    made = held(parts.held_out)
    assert (made["template"], made["max_prompt_tokens"]) == ("rethinking", 701)
    assert made["sampling"] == Sampling(temperature=0.0, max_tokens=21)
    assert made["marker"].before("so. Hold on, no") == "so. "


def test_the_benchmarks(parts: Parts) -> None:
    made = held(parts.benchmarks)
    (exam,) = made["exams"]
    assert (exam.name, exam.rule.protocol, len(exam.questions)) == ("mathvision-testmini", "official", 2)
    assert made["folder"] == parts.folder.benchmarks
    assert made["workers"] == TREE["verifier"]["workers"]
    assert made["marker"].before("so. Hold on, no") == "so. "
    asked = made["answerer"].settings
    assert asked.sampling == Sampling(temperature=0.0, max_tokens=21)
    assert (asked.seed, asked.max_prompt_tokens, asked.samples, asked.rethink) == (7, 701, 1, "off")
    assert made["settings"]["limit"] == 2


def test_a_part_of_the_questions_is_spread_over_all() -> None:
    assert [spread(list(range(10)), limit) for limit in (0, 3, 99)] == [[*range(10)], [0, 3, 6], [*range(10)]]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "dtype", "asked"),
    [("gspo", "bfloat16", True), ("gspo", "float32", False), ("clip", "bfloat16", False)],
)
def test_gspo_in_half_precision_asks_the_learner_for_old_logprobs(kind: str, dtype: str, asked: bool) -> None:
    """Rounding alone takes many of its ratios beyond the clip."""
    config = Config.model_validate({"model": {"dtype": dtype}, "objective": {"kind": kind}})
    assert asks_again(config) == asked
    engines = config.model_copy(update={"learner": config.learner.model_copy(update={"behaviour_logprobs": "engine"})})
    assert not asks_again(engines)
