"""Real ranks over gloo: however many there are, an update is the one of a single process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.distributed.seats import Seats
from tests.learner.given import experience
from tests.models import toys
from tests.models.checks import problem

from rethinker.build import build_vlm
from rethinker.build_learner import build_learner
from rethinker.config import Config
from rethinker.distributed.learner import ShardedLearner
from rethinker.distributed.peers import Peer, call_all
from rethinker.learner.learner import PolicyLearner
from rethinker.models.vlm import VLM
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
    return {name: weight.float().numpy() for name, weight in learner.named_weights()}


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
        if left[name].value != pytest.approx(right[name].value, rel=within, abs=within)
    ]


def compared(
    seats: Seats, config: Config, ranks: int, *, within: float = ALIKE
) -> tuple[ShardedLearner, list[Peer], PolicyLearner]:
    """Some updates of either, which must be the same."""
    one = alone(config)
    many, vlm, held = seats.learner(config, ranks)
    start = whole(held)
    assert far(start, weights(one)) == 0
    for ours, theirs in zip(batches(vlm), batches(one.vlm), strict=True):
        for found, wanted in zip(many.token_logprobs(ours), one.token_logprobs(theirs), strict=True):
            np.testing.assert_allclose(found, wanted, atol=within * 10)
        assert differing(many.update(ours), one.update(theirs), within=within * 10) == []
        assert far(whole(held), weights(one)) < within * 10
        many.policy_synced(1)
        one.policy_synced(1)
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
