"""Two ranks over gloo, fed updates of any shape: the gradient is that of one process, and so are the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from tests.distributed.seats import Seats
from tests.distributed.test_sharded_learner import alone, config_of, differing
from tests.learner import updates
from tests.models import toys
from tests.models.checks import problem

from rethinker.distributed.learner import ShardedLearner
from rethinker.distributed.peers import Peer, call_all
from rethinker.learner.learner import PolicyLearner
from rethinker.models.vlm import VLM
from rethinker.types import Experience

RANKS = 2
SAME = 1e-5
"""Relative to the norm of the whole gradient; both are float32, each adds in its own order."""

KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "kl, checkpointed": {
        "model": {"gradient_checkpointing": True},
        "objective": {"kind": "clip", "kl_coefficient": 0.1, "entropy_coefficient": 0.1},
        "learner": {"micro_batch_tokens": 180},
    },
    "gspo, not shared, reduced often": {
        "objective": {"kind": "gspo", "clip_low": 0.05, "clip_high": 0.05},
        "learner": {"micro_batch_tokens": 90, "share_prompts": False, "sharding": {"reduce_every_micro_batch": True}},
        "train": {"updates_per_episode": 2},
    },
}
CALM = {"lr": 1e-30, "grad_clip": 1e9}
"""Steps that are too small to move a weight."""


class Pair(NamedTuple):
    """The same learner in one process and over ranks."""

    one: PolicyLearner
    many: ShardedLearner
    vlm: VLM
    held: list[Peer]


@pytest.fixture(scope="module")
def seats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seats]:
    made = Seats(RANKS, tmp_path_factory.mktemp("stores"))
    yield made
    made.close()


@pytest.fixture(scope="module", params=KINDS)
def pair(seats: Seats, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("toy")
    VLM(*toys.build("Qwen2.5-VL")).save(folder)
    sections = KINDS[request.param]
    config = config_of(folder, **sections | {"learner": sections["learner"] | CALM})
    made = Pair(alone(config), *seats.learner(config, RANKS))
    made.one.policy_synced(updates.VERSION)
    made.many.policy_synced(updates.VERSION)
    yield made
    made.many.close()


def chosen(learner: PolicyLearner | ShardedLearner, vlm: VLM, shape: updates.Shape) -> list[Experience]:
    prompts = [vlm.encode(problem(name), "plain") for name in ("told", "one", "several", "wide")]
    return updates.made(shape, prompts, ids=250)


def compare(pair: Pair, shape: updates.Shape) -> None:
    ours, theirs = chosen(pair.many, pair.vlm, shape), chosen(pair.one, pair.one.vlm, shape)
    current = pair.one.token_logprobs(theirs)
    found = pair.many.update(updates.placed(shape, ours, current))
    wanted = pair.one.update(updates.placed(shape, theirs, current))
    assert differing(found, wanted, within=1e-4) == []
    held = call_all(pair.held, "gradients")[0]
    expected = {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad
        for name, weight in pair.one.vlm.module.named_parameters()
    }
    assert held.keys() == expected.keys()
    off = np.concatenate([(held[name] - expected[name].numpy()).ravel() for name in held])
    whole = torch.cat([gradient.flatten() for gradient in expected.values()])
    assert float(np.linalg.norm(off)) <= SAME * float(whole.norm())


@settings(max_examples=4, phases=[Phase.generate])
@given(shape=updates.shapes(4))
def test_two_ranks_have_the_gradient_of_one(pair: Pair, shape: updates.Shape) -> None:
    compare(pair, shape)


@pytest.mark.long
@settings(max_examples=150, phases=[Phase.generate])
@given(shape=updates.shapes(4))
def test_and_so_in_many_more_shapes(pair: Pair, shape: updates.Shape) -> None:
    compare(pair, shape)
