"""An episode of the 7B model and clusters to lay it on, for tests of the model of many GPUs."""

from __future__ import annotations

from functools import cache
from typing import Any

from rethinker.planning.architecture import read
from rethinker.planning.cluster import Cluster, layout
from rethinker.planning.compute import Step
from rethinker.planning.gpus import GPUS
from rethinker.planning.scaling_out import EpisodeTime, episode_time
from rethinker.planning.shapes import Architecture
from rethinker.planning.work import Lengths, Work

HELD = 20e9
"""Bytes of each GPU that the learner keeps."""


@cache
def shape(size: str = "7B") -> Architecture:
    return read(f"Qwen/Qwen2.5-VL-{size}-Instruct", lambda _: None)


def work(**changes: Any) -> Work:
    """An episode of 1,024 × 8 in 16 updates, four responses to a prompt's copy."""
    update = Step(prompts=128, prompt_tokens=1024, image_tokens=640, responses=512, response_tokens=1024)
    values: dict[str, Any] = {
        "queries": 1024,
        "group_size": 8,
        "updates": 16,
        "first": Lengths(mean=1024, longest=2048),
        "update": update,
        "together": 4,
        "micro_batch_tokens": 8192,
        "checkpointed": True,
        "verify_workers": 64,
    }
    return Work(**(values | changes))


def cluster(gpus: int = 8, kind: str = "H100", size: str = "7B", **more: Any) -> Cluster:
    return layout(GPUS[kind], gpus, shape(size), width=2, **({"staleness": 0} | more))


def time(gpus: int = 8, *, asked: Work | None = None, size: str = "7B", **more: Any) -> EpisodeTime:
    return episode_time(shape(size), asked or work(), cluster(gpus, size=size, **more), held=HELD)
