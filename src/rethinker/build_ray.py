"""A crew of Ray actors: ranks of the learner and engine replicas, in the same processes or apart."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import ray
import torch

from rethinker.build_crew import Crew, serve_engine, serve_rank, sharded_learner
from rethinker.build_model import resolve_device, set_threads
from rethinker.build_vllm import sends_directly
from rethinker.cluster_config import RayClusterConfig
from rethinker.config import Config
from rethinker.distributed.peers import gather
from rethinker.distributed.pool import PooledEngine
from rethinker.distributed.ray_cluster import RayCluster, RayLine, RayPeer, Seat, gathered_chunks, meet_where_ray_does
from rethinker.distributed.stores import shared_store
from rethinker.distributed.weights import ChunkedSync, ColocatedSync, DirectSync
from rethinker.errors import ClusterError
from rethinker.interfaces import WeightSync

_LOG = logging.getLogger("rethinker")


def ray_crew(config: Config, *, after_loss: bool) -> Crew:
    """Connect to Ray, take seats, and fill them.

    Args:
        after_loss: Whether fewer ranks than asked for may do.

    Raises:
        ClusterError: Ray does not answer, or has no room.
    """
    settings = config.cluster
    assert isinstance(settings, RayClusterConfig)
    set_threads(config.threads or 1)
    cluster = RayCluster(
        address=settings.address,
        placement_seconds=settings.placement_seconds,
        cpus=_processes(config, settings.ranks) * settings.cpus,
    )
    try:
        return _crew(config, cluster, _sizes(settings, after_loss=after_loss))
    except BaseException:
        cluster.close()
        raise


def _sizes(settings: RayClusterConfig, *, after_loss: bool) -> range:
    """How many ranks to try for, the most first."""
    least = settings.min_ranks if after_loss and settings.min_ranks else settings.ranks
    return range(settings.ranks, least - 1, -1)


def _crew(config: Config, cluster: RayCluster, sizes: range) -> Crew:
    settings = config.cluster
    assert isinstance(settings, RayClusterConfig)
    patience = settings.patience_seconds
    lines, ranks = _seated(config, cluster, sizes)
    meeting = lines[0].address(settings.start_seconds, limit="cluster.start_seconds")
    fillings = [partial(_rank, config, rank=rank, ranks=ranks, meeting=meeting) for rank in range(ranks)] + [
        partial(_engine, config)
    ] * (len(lines) - ranks)
    names = [line.peer("") for line in lines]
    opening = [line.open(make) for line, make in zip(lines, fillings, strict=True)]
    gather(names, opening, patience=settings.start_seconds, limit="cluster.start_seconds")
    vlm, learner = sharded_learner(config, [line.peer("learner") for line in lines[:ranks]], patience=patience)
    if settings.colocated:
        engine = PooledEngine([line.peer("engine") for line in lines], patience=patience)
        weights: WeightSync = ColocatedSync([line.peer("weights") for line in lines], patience=patience)
    elif sends_directly(config, torch.device(resolve_device(config.device)).type):
        engine, weights = _broadcast(config, lines, ranks)
    else:
        engine, weights = _through_objects(config, cluster, lines, ranks)
    return Crew(
        vlm=vlm,
        engine=engine,
        learner=learner,
        weights=weights,
        write_model=learner.write_model,
        close=partial(_close, engine, cluster),
    )


def _broadcast(config: Config, lines: list[RayLine], ranks: int) -> tuple[PooledEngine, WeightSync]:
    """Engines whose workers the first rank sends weights to."""
    settings, apart = config.cluster, lines[ranks:]
    assert isinstance(settings, RayClusterConfig)
    assert config.engine.kind == "vllm"
    engine = PooledEngine([line.peer("engine") for line in apart], patience=settings.patience_seconds)
    sync = DirectSync(
        [line.peer("weights") for line in lines[:ranks]],
        engine,
        [line.peer("weights") for line in apart],
        workers=config.engine.tensor_parallel,
        address=lines[0].address(settings.start_seconds, limit="cluster.start_seconds"),
        patience=settings.patience_seconds,
    )
    return engine, sync


def _through_objects(
    config: Config, cluster: RayCluster, lines: list[RayLine], ranks: int
) -> tuple[PooledEngine, WeightSync]:
    """Engines that get weights through Ray's object store, and begin again with them."""
    settings = config.cluster
    assert isinstance(settings, RayClusterConfig)
    patience = settings.patience_seconds
    sources = [line.peer("weights") for line in lines[:ranks]]

    def respawn(place: int) -> RayPeer:
        line = cluster.retake(ranks + place)
        replica = line.peer("engine")
        opening = [line.open(partial(_engine, config))]
        gather([replica], opening, patience=settings.start_seconds, limit="cluster.start_seconds")
        if (catching_up := sync.catch_up(replica)) is not None:
            gather([replica], [catching_up], patience=patience)
        return replica

    engine = PooledEngine([line.peer("engine") for line in lines[ranks:]], respawn=respawn, patience=patience)
    sync = ChunkedSync(partial(gathered_chunks, sources, patience=patience), engine)
    return engine, sync


def _close(engine: PooledEngine, cluster: RayCluster) -> None:
    engine.close()
    cluster.close()


def _seated(config: Config, cluster: RayCluster, sizes: range) -> tuple[list[RayLine], int]:
    """Lines to all processes, and how many of them, from the first, are ranks of the learner."""
    refused: ClusterError | None = None
    for ranks in sizes:
        try:
            lines = cluster.take(_seats(config, ranks))
        except ClusterError as error:
            refused = refused or error
            continue
        if refused is not None:
            _LOG.warning("%s Going on with %d of %d learner ranks", refused, ranks, sizes[0])
        return lines, ranks
    assert refused is not None
    raise refused


def _seats(config: Config, ranks: int) -> list[Seat]:
    settings = config.cluster
    assert isinstance(settings, RayClusterConfig)
    gpus = settings.gpus if resolve_device(config.device).startswith("cuda") else 0.0
    shared = config.engine.tensor_parallel if config.engine.kind == "vllm" else 1
    learners = [Seat(name=f"learner rank {rank}", cpus=settings.cpus, gpus=gpus) for rank in range(ranks)]
    engines = range(_processes(config, ranks) - ranks)
    return learners + [Seat(name=f"engine {each}", cpus=settings.cpus, gpus=gpus * shared) for each in engines]


def _processes(config: Config, ranks: int) -> int:
    """Ranks, and engines apart from them."""
    settings = config.cluster
    assert isinstance(settings, RayClusterConfig)
    return ranks if settings.colocated else ranks + config.engine.replicas


def _rank(config: Config, *, rank: int, ranks: int, meeting: str) -> Any:
    settings = config.cluster
    assert isinstance(settings, RayClusterConfig)
    set_threads(config.threads or max(1, int(settings.cpus)))
    meet_where_ray_does()
    return serve_rank(
        config,
        rank=rank,
        ranks=ranks,
        store=shared_store(meeting, rank=rank, ranks=ranks, patience=settings.patience_seconds),
        patience=settings.patience_seconds,
        device=resolve_device(config.device),
        engine=settings.colocated,
        chunk=settings.chunk_bytes,
    )


def _engine(config: Config) -> Any:
    settings = config.cluster
    assert isinstance(settings, RayClusterConfig)
    set_threads(config.threads or max(1, int(settings.cpus)))
    return serve_engine(config, fetch=ray.get)
