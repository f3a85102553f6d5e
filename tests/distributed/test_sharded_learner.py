"""Real ranks over gloo: however many there are, an update is the one of a single process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.distributed.seats import Seats
from tests.learner.given import experience
from tests.models import toys
from tests.models.checks import problem
from torch.distributed import HashStore

from rethinker.build_learner import build_learner, build_rank
from rethinker.build_model import build_vlm
from rethinker.config import Config
from rethinker.distributed.learner import ShardedLearner
from rethinker.distributed.peers import Peer, call_all
from rethinker.errors import CheckpointError, ConfigError, RankLostError, RethinkerError
from rethinker.learner.learner import PolicyLearner
from rethinker.models.adapters import load_adapter
from rethinker.models.loading import load
from rethinker.models.vlm import VLM
from rethinker.runs.codec import encode
from rethinker.timing import Stopwatch
from rethinker.types import Experience, Metrics

ALIKE = 2e-5
"""What float32 may differ by, of numbers around 1."""


@pytest.fixture(scope="module")
def seats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seats]:
    made = Seats(4, tmp_path_factory.mktemp("stores"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy whose output layer is its embedding."""
    made = tmp_path_factory.mktemp("tied")
    VLM(*toys.build("Qwen2.5-VL")).save(made)
    return made


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy with an output layer of its own, and images that reach into several layers."""
    made = tmp_path_factory.mktemp("untied")
    module, processor = toys.build("Qwen3-VL")
    module.config.tie_word_embeddings = module.config.text_config.tie_word_embeddings = False
    head = module.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().flip(0).clone())
    VLM(module, processor).save(made)
    return made


def config_of(path: Path, **sections: dict[str, Any]) -> Config:
    given: dict[str, dict[str, Any]] = {
        "model": {"path": str(path)},
        "learner": {"lr": 1e-3, "warmup": 0.0, "micro_batch_tokens": 180, "grad_clip": 0.5},
        "train": {"steps": 10, "updates_per_episode": 1},
        "objective": {"kind": "clip"},
    }
    merged = {name: given.get(name, {}) | sections.get(name, {}) for name in given | sections}
    return Config.model_validate({"device": "cpu", "threads": 1, **merged})


def alone(config: Config) -> PolicyLearner:
    return build_learner(config, build_vlm(config), Stopwatch())


def uneven(vlm: VLM) -> list[Experience]:
    """Many rows of text, few with images, of very different lengths."""
    told, wide, several = (vlm.encode(problem(name), "plain") for name in ("told", "wide", "several"))
    lengths = [(told, 30), (told, 3), (told, 17), (wide, 9), (several, 5), (several, 2), (told, 4)]
    made = [experience(p, sample=s, length=n, advantage=(-1.0) ** s * 0.7) for s, (p, n) in enumerate(lengths)]
    made = [replace(e, rollout=replace(e.rollout, token_ids=e.rollout.token_ids % 250)) for e in made]
    return [*made, made[2]]


def one_row(vlm: VLM) -> list[Experience]:
    """Less than there are ranks."""
    return uneven(vlm)[1:2]


def batches(vlm: VLM) -> list[list[Experience]]:
    return [uneven(vlm), one_row(vlm), [], uneven(vlm)[3:]]


def weights(learner: PolicyLearner) -> dict[str, np.ndarray]:
    return {name: weight.float().clone().numpy() for name, weight in learner.named_weights()}


def whole(seats: Sequence[Peer]) -> dict[str, np.ndarray]:
    return call_all(seats, "weights")[0]


def far(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> float:
    assert left.keys() == right.keys()
    return max(float(np.abs(left[name] - right[name]).max()) for name in right)


def differing(left: Metrics, right: Metrics, *, within: float = ALIKE) -> list[str]:
    """Names of metrics that are not the same; padding is of the micro-batches, which differ."""
    assert left.keys() == right.keys()
    return [
        f"{name}: {left[name].value} and {right[name].value}"
        for name in sorted(right.keys() - {"tokens/padding"})
        if not _alike(left[name].value, right[name].value, within)
    ]


def _alike(left: float | None, right: float | None, within: float) -> bool:
    return left == right if None in (left, right) else left == pytest.approx(right, rel=within, abs=within)


def compared(seats: Seats, config: Config, ranks: int) -> tuple[ShardedLearner, list[Peer], PolicyLearner]:
    """Some updates of either, which must be the same."""
    one = alone(config)
    many, vlm, held = seats.learner(config, ranks)
    start = whole(held)
    assert far(start, weights(one)) == 0
    for found, wanted in zip(many.token_logprobs(uneven(vlm)), one.token_logprobs(uneven(one.vlm)), strict=True):
        np.testing.assert_allclose(found, wanted, atol=ALIKE)
    for ours, theirs in zip(batches(vlm), batches(one.vlm), strict=True):
        assert differing(many.update(ours), one.update(theirs)) == []
        many.policy_synced(1)
        one.policy_synced(1)
    assert far(whole(held), weights(one)) < 10 * ALIKE
    assert far(whole(held), start) > 1e-4
    return many, held, one


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_an_update_is_the_same_at_every_world_size(seats: Seats, folder: Path, ranks: int) -> None:
    many, held, one = compared(seats, config_of(folder), ranks)
    sizes = {name: weight.size for name, weight in weights(one).items()}
    shares = [sum(each.values()) for each in call_all(held, "held")]
    assert sum(shares) == sum(sizes.values())
    assert max(shares) < 1.1 * sum(shares) / ranks
    many.close()


SETTINGS: dict[str, dict[str, Any]] = {
    "an output layer of its own, a frozen part, a reference, and every setting that saves memory": {
        "model": {"freeze": ["vision"], "gradient_checkpointing": True},
        "learner": {"sharding": {"offload": True, "reduce_every_micro_batch": True}},
        "objective": {"kind": "clip", "kl_coefficient": 0.1, "entropy_coefficient": 0.01},
    },
    "an adapter on both parts, its own reference, and layers that stay gathered": {
        "model": {"adapter": {"kind": "lora", "rank": 3, "parts": ["language", "vision"]}},
        "learner": {"sharding": {"reshard_after_forward": False}, "lr": 1e-2},
        "objective": {"kind": "gspo", "normalisation": "constant", "kl_coefficient": 0.1},
        "train": {"updates_per_episode": 2},
    },
}


@pytest.mark.parametrize("name", SETTINGS)
def test_an_update_is_the_same_with(seats: Seats, untied: Path, name: str) -> None:
    many, held, one = compared(seats, config_of(untied, **SETTINGS[name]), 2)
    before = whole(held)
    assert many.update(uneven(one.vlm))["policy/kl"].value != 0
    after = whole(held)
    moved = {name for name in after if (after[name] != before[name]).any()}
    assert any("language" in each for each in moved)
    assert any(".visual.blocks." in each for each in moved) == ("adapter" in name)
    many.close()


def test_half_precision_is_gathered_and_float32_is_stepped(seats: Seats, untied: Path) -> None:
    """Both learners round to half precision, each in its own order."""
    config = config_of(untied, model={"dtype": "bfloat16"})
    one, start = alone(config), start_of(config)
    many, vlm, held = seats.learner(config, 2)
    assert far(whole(held), weights(one)) == 0
    assert differing(many.update(uneven(vlm)), one.update(uneven(one.vlm)), within=0.03) == []
    moved, wanted = ({name: found[name] - start[name] for name in start} for found in (whole(held), weights(one)))
    assert np.mean([(np.sign(moved[name]) == np.sign(wanted[name])).mean() for name in start]) > 0.9
    masters = call_all(held, "masters")[0]
    rounded = {name: torch.from_numpy(master).bfloat16().float().numpy() for name, master in masters.items()}
    assert 0 < far(rounded, masters) < 0.01  # they hold what half precision would have rounded away
    assert far(rounded, whole(held)) == 0
    many.close()


def start_of(config: Config) -> dict[str, np.ndarray]:
    named = build_vlm(config).module.named_parameters()
    return {name: weight.detach().float().numpy() for name, weight in named}


def test_what_is_not_finite_on_one_rank_is_skipped_on_all(seats: Seats, folder: Path) -> None:
    config = config_of(folder, learner={"max_nonfinite": 2, "lr": 1e-3})
    many, vlm, held = seats.learner(config, 2)
    before = whole(held)
    held[1].call("poison").result()
    metrics = many.update(uneven(vlm))
    assert metrics["policy/skipped"].value == 1
    assert far(whole(held), before) == 0
    assert many.update(uneven(vlm))["policy/skipped"].value == 0
    after = whole(held)
    assert far(after, before) > 0
    assert all(np.isfinite(weight).all() for weight in after.values())
    held[0].call("poison").result()
    many.update(uneven(vlm))
    held[1].call("poison").result()
    with pytest.raises(RethinkerError, match="2 updates in a row"):
        many.update(uneven(vlm))
    many.close()


def test_a_checkpoint_is_read_by_another_number_of_ranks(seats: Seats, folder: Path, tmp_path: Path) -> None:
    config = config_of(folder)
    first, vlm, held = seats.learner(config, 2)
    first.update(uneven(vlm))
    saved = first.save(tmp_path)
    assert encode(saved)[1] == {}  # nothing large comes to the driver
    assert sorted(file.suffix for file in (tmp_path / "learner").iterdir()) == [".safetensors"] * 2
    weights_then = whole(held)
    first.update(uneven(vlm)[2:])
    wanted = whole(held)
    first.load(tmp_path, saved)
    first.update(uneven(vlm)[2:])
    assert far(whole(held), wanted) == 0
    first.close()
    for ranks in (4, 1):
        later, vlm, held = seats.learner(config, ranks)
        later.load(tmp_path, saved)
        assert far(whole(held), weights_then) == 0
        metrics = later.update(uneven(vlm)[2:])
        assert metrics["policy/engine_gap_mean"].count == ranks  # of before the checkpoint
        assert far(whole(held), wanted) < 10 * ALIKE
        later.close()


def test_a_checkpoint_of_another_model_is_refused(seats: Seats, folder: Path, tmp_path: Path) -> None:
    first, _, _ = seats.learner(config_of(folder), 2)
    saved = first.save(tmp_path)
    first.close()
    other, _, _ = seats.learner(config_of(folder, model={"freeze": ["vision"]}), 2)
    with pytest.raises(CheckpointError, match="other parts of it were trained"):
        other.load(tmp_path, saved)
    other.close()


def test_the_model_is_written_for_everybody(seats: Seats, untied: Path, tmp_path: Path) -> None:
    many, vlm, held = seats.learner(config_of(untied, model={"dtype": "bfloat16"}), 2)
    many.update(uneven(vlm))
    many.write_model(tmp_path)
    call_all(held, "write_in_files_of", str(tmp_path), 200_000)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    (tmp_path / "model.safetensors").unlink()
    found = load(str(tmp_path), device="cpu", dtype="bfloat16")
    assert far({name: w.detach().float().numpy() for name, w in found.module.named_parameters()}, whole(held)) == 0
    assert "rethinker" not in (tmp_path / "config.json").read_text(encoding="utf-8")
    alone_folder = tmp_path / "alone"
    alone_folder.mkdir()
    found.save(alone_folder)
    stored = load_file(alone_folder / "model.safetensors").keys()
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text(encoding="utf-8"))
    assert index["weight_map"].keys() == stored
    many.close()


def test_an_adapter_is_written_alone(seats: Seats, folder: Path, tmp_path: Path) -> None:
    """Float32 adapters beside half-precision weights."""
    adapted = {"adapter": {"kind": "lora", "rank": 2}, "dtype": "bfloat16"}
    config = config_of(folder, model=adapted, learner={"lr": 1e-2, "warmup": 0.0})
    many, vlm, held = seats.learner(config, 2)
    start = whole(held)
    many.update(uneven(vlm))
    assert far(whole(held), start) > 1e-3
    many.write_model(tmp_path)
    one = alone(config)
    load_adapter(one.vlm.module, tmp_path)
    assert far(weights(one), whole(held)) == 0
    many.close()


def test_a_rank_that_dies_is_named(folder: Path, tmp_path: Path) -> None:
    own = Seats(2, tmp_path)
    many, vlm, held = own.learner(config_of(folder), 2)
    held[1].call("die")
    with pytest.raises(RankLostError, match="rank 1 is gone"):
        many.update(uneven(vlm))
    held[0].call("die")


def test_an_optimiser_that_keeps_whole_weights_is_refused(folder: Path) -> None:
    config = config_of(folder, learner={"optimizer": "adamw_8bit"})
    with pytest.raises(ConfigError, match="adamw_8bit cannot be sharded"):
        build_rank(config, rank=0, ranks=1, store=HashStore(), timeout_seconds=1, device="cpu")
