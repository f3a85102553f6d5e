"""From a configuration to whoever does the work: the model the driver encodes with, engine, learner, and their sync.

In one process all of them share one model. Where there are more, each process makes what it serves with the functions
here, from the same configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version

from rethinker.build_learner import build_learner, build_outline, build_planner, build_rank
from rethinker.build_model import build_engine, build_own_engine, build_vlm, resolve_device, set_threads
from rethinker.build_vllm import sends_directly
from rethinker.config import Config
from rethinker.distributed.chunks import Chunk
from rethinker.distributed.learner import ShardedLearner
from rethinker.distributed.peers import Peer
from rethinker.distributed.replica import EngineReplica
from rethinker.distributed.stores import Store
from rethinker.distributed.weights import BesideLearner, DirectSource, WeightSource
from rethinker.errors import ClusterError
from rethinker.interfaces import Learner, RolloutEngine, WeightSync
from rethinker.models.vlm import VLM
from rethinker.rollout.sync import LocalSync
from rethinker.rollout.vllm_engine import VllmEngine
from rethinker.rollout.vllm_transfer import Receiver
from rethinker.timing import Stopwatch

OLDEST_RAY = "2.50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who does the work of a run.

    Attributes:
        vlm: Encodes and decodes for the driver; an outline where the weights are elsewhere.
        write_model: Writes a Hugging Face folder of the present weights.
        close: Ends what runs elsewhere.
    """

    vlm: VLM
    engine: RolloutEngine
    learner: Learner
    weights: WeightSync
    write_model: Callable[[Path], None]
    close: Callable[[], None]


def build_crew(config: Config, stopwatch: Stopwatch, *, after_loss: bool) -> Crew:
    """The crew that `cluster` asks for.

    Args:
        after_loss: Whether a crew of this run was lost before, so that a smaller one may do.

    Raises:
        ClusterError: it cannot be had.
        ModelError: the model cannot be loaded, or cannot be trained this way.
    """
    refuse_stray_launch(config)
    match config.cluster.kind:
        case "local":
            return _local(config, stopwatch)
        case "torchrun":
            from rethinker.build_torchrun import torchrun_crew

            return torchrun_crew(config, stopwatch)
        case "ray":
            refuse_missing_ray(_version("ray"))
            from rethinker.build_ray import ray_crew

            return ray_crew(config, after_loss=after_loss)


def _local(config: Config, stopwatch: Stopwatch) -> Crew:
    set_threads(config.threads)
    vlm = build_vlm(config)
    engine = build_engine(config, vlm, stopwatch)
    learner = build_learner(config, vlm, stopwatch)
    return Crew(
        vlm=vlm,
        engine=engine,
        learner=learner,
        weights=LocalSync(learner.named_weights, engine),
        write_model=vlm.save,
        close=engine.close,
    )


def sharded_learner(config: Config, ranks: list[Peer], *, patience: float) -> tuple[VLM, ShardedLearner]:
    """What the driver has of a learner of several ranks."""
    vlm = build_outline(config, ranks[0].call("sharing").result(patience))
    return vlm, ShardedLearner(ranks, build_planner(config, vlm), patience=patience)


# ---- what each process serves ----


def serve_rank(
    config: Config, *, rank: int, ranks: int, store: Store, patience: float, device: str, engine: bool, chunk: int
) -> Mapping[str, object]:
    """One rank of the learner, and beside it an engine where asked for.

    Args:
        chunk: Bytes of the pieces in which weights go to engines elsewhere.
    """
    learner = build_rank(config, rank=rank, ranks=ranks, store=store, timeout_seconds=patience, device=device)
    if not engine:
        named, first, kind = learner.named_weights, rank == 0, torch.device(device).type
        weights = (
            DirectSource(named, sends=first, device=kind)
            if sends_directly(config, kind)
            else WeightSource(named, limit=chunk, sends=first)
        )
        return {"learner": learner, "weights": weights}
    own = build_own_engine(config, device=device)
    return {
        "learner": learner,
        "engine": EngineReplica(own),
        "weights": BesideLearner(learner.named_weights, own),
    }


def serve_engine(config: Config, *, fetch: Callable[[Any], Chunk]) -> Mapping[str, object]:
    """An engine alone in its process.

    Args:
        fetch: Gets a chunk of weights from what stands for it.
    """
    device = resolve_device(config.device)
    engine = build_own_engine(config, device=device)
    served: dict[str, object] = {"engine": EngineReplica(engine, fetch=fetch)}
    if isinstance(engine, VllmEngine):
        served["weights"] = Receiver(engine, device=torch.device(device).type)
    return served


def refuse_missing_ray(version: str | None) -> None:
    """Ray has to be there, and new enough.

    Raises:
        ClusterError: it is not.
    """
    if version is None or Version(version) < Version(OLDEST_RAY):
        have = f"Ray {version} is too old for cluster.kind=ray" if version else "cluster.kind=ray needs Ray"
        raise ClusterError(f"{have}: pip install 'rethinker[ray]' (Ray {OLDEST_RAY} or later) on every machine")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def refuse_stray_launch(config: Config) -> None:
    """A launch by torchrun of a run that is not meant to be: each process would train alone, into one folder.

    Raises:
        ClusterError: it is one.
    """
    from rethinker.distributed.launch import launched

    launch = launched()
    if launch is not None and launch.ranks > 1 and config.cluster.kind != "torchrun":
        raise ClusterError(
            f"torchrun started {launch.ranks} processes, and cluster.kind={config.cluster.kind}: set "
            "cluster.kind=torchrun to share the work between them, or start one process without torchrun"
        )
