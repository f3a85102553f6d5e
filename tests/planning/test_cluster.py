from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.planning.clusters import cluster

from rethinker.errors import ConfigError
from rethinker.planning.gpus import GPUS, gpu_kind


def test_an_engine_takes_the_fewest_gpus_that_leave_room() -> None:
    sizes = {size: cluster(64, size=size).tensor_parallel for size in ("3B", "7B", "32B", "72B")}
    assert sizes == {"3B": 1, "7B": 1, "32B": 4, "72B": 8}
    assert cluster(64, "H200", "72B").tensor_parallel == 4


def test_gpus_are_shared_or_apart() -> None:
    shared, apart = cluster(64, size="32B"), cluster(64, size="32B", engine_gpus=16, staleness=1)
    assert (shared.replicas, shared.ranks) == (16, 64)
    assert (apart.replicas, apart.ranks) == (4, 48)
    assert (apart.grown(256).replicas, apart.grown(256).ranks) == (16, 192)


@pytest.mark.parametrize(
    ("gpus", "more", "message"),
    [
        (8192, {}, "--gpus 8192: a step is modelled for up to 4,096 GPUs"),
        (12, {}, "no whole number of nodes of 8 GPUs; take 8 or 16"),
        (16, {"engine_gpus": 16}, "--engine-gpus 16 leave the learner none of --gpus 16"),
        (16, {"staleness": 1}, "nothing can overlap; give engines GPUs of their own with --engine-gpus (half: 8)"),
        (16, {"tensor_parallel": 3}, "--tensor-parallel 3 does not divide a node of 8 GPUs"),
        (64, {"tensor_parallel": 16}, "--tensor-parallel 16 does not divide a node of 8 GPUs"),
        (16, {"tensor_parallel": 4, "engine_gpus": 6}, "does not divide the 6 GPUs that generate; take 4 of them"),
        (2, {"tensor_parallel": 4}, "--tensor-parallel 4 does not divide the 2 GPUs that generate"),
        (16, {"tensor_parallel": 8}, "--tensor-parallel 8 does not divide the model's 28 attention heads"),
    ],
)
def test_what_cannot_be_laid_out_says_why(gpus: int, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        cluster(gpus, **more)
    assert message in str(raised.value)


def test_an_unknown_kind_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="--gpu B9: no such kind is known; known are A100-80, A800-80, H100, H800"):
        gpu_kind("B9")


def test_a_ring_is_as_fast_as_its_slowest_link_and_waits_for_every_hop() -> None:
    slow = cluster(64)
    slow = replace(slow, gpu=replace(slow.gpu, between=5e9))
    one = slow.ring(1e9, ranks=8, calls=0)
    assert one == pytest.approx(1e9 * 7 / 8 / (450e9 * 0.8))
    assert slow.ring(1e9, ranks=16, calls=0) == pytest.approx(1e9 * 15 / 16 / (8 * 5e9 * 0.8))
    assert slow.ring(0, ranks=4096, calls=2) == pytest.approx(2 * 4095 * 2.5e-6)
    assert slow.ring(1e9, ranks=1, calls=9) == 0


def test_small_sums_go_at_once_and_large_ones_round() -> None:
    eight = cluster(8, size="72B", tensor_parallel=8)
    link = GPUS["H100"].inside * 0.8
    assert eight.summed(0, calls=1) == pytest.approx(2 * 2.5e-6)
    assert eight.summed(1e9, calls=1) == pytest.approx(2 * 7 / 8 * 1e9 / link, rel=0.02)
    assert cluster(8).summed(1e9, calls=1) == 0
