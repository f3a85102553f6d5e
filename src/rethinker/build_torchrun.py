"""A crew of the processes that one torchrun started: ranks of the learner, each with an engine beside it.

Rank 0 is the driver too; the others serve.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait

from rethinker.build_crew import Crew, serve_rank, sharded_learner
from rethinker.build_model import resolve_device, set_threads
from rethinker.config import Config
from rethinker.cores import usable_cores
from rethinker.distributed.host import Host
from rethinker.distributed.launch import Launch, launched
from rethinker.distributed.peers import LocalPeer, Peer
from rethinker.distributed.pipes import listen, serve
from rethinker.distributed.pool import PooledEngine
from rethinker.distributed.weights import ColocatedSync
from rethinker.errors import ClusterError
from rethinker.timing import Stopwatch

_LEAVING = 10.0
"""Seconds that ranks have to leave each other at the end."""


def torchrun_crew(config: Config, stopwatch: Stopwatch) -> Crew:  # noqa: ARG001 (ranks keep their own time)
    """In rank 0: this process and the others."""
    launch, patience = _launch(config), _patience(config)
    thread = ThreadPoolExecutor(1, thread_name_prefix="rank 0")
    served = thread.submit(_served, config, launch).result()  # on the thread that will use it: CUDA devices are its own
    pipes = listen(launch.store(patience), ranks=launch.ranks, patience=patience)

    def peers(name: str) -> list[Peer]:
        own = LocalPeer(f"{name} 0", served[name], thread=thread)
        return [own, *(pipes[rank].peer(name) for rank in sorted(pipes))]

    learners = peers("learner")

    def close() -> None:
        leaving = [learner.call("close") for learner in learners]
        wait(leaving, _LEAVING)
        for pipe in pipes.values():
            pipe.close()
        thread.shutdown(wait=False, cancel_futures=True)

    vlm, learner = sharded_learner(config, learners, patience=patience)
    return Crew(
        vlm=vlm,
        engine=PooledEngine(peers("engine"), patience=patience),
        learner=learner,
        weights=ColocatedSync(peers("weights"), patience=patience),
        write_model=learner.write_model,
        close=close,
    )


def serve_torchrun(config: Config) -> None:
    """In every other rank: serve until the driver is done, or gone."""
    launch, patience = _launch(config), _patience(config)
    for asked_to_stop in (signal.SIGINT, signal.SIGTERM):  # rank 0 hears it too, and finishes its step with us
        signal.signal(asked_to_stop, signal.SIG_IGN)
    serve(launch.store(patience), Host(_served(config, launch)), rank=launch.rank, patience=patience)


def _served(config: Config, launch: Launch) -> Mapping[str, object]:
    set_threads(config.threads or max(1, usable_cores() // launch.local_ranks))
    device = resolve_device(config.device)
    return serve_rank(
        config,
        rank=launch.rank,
        ranks=launch.ranks,
        store=launch.store(_patience(config)),
        patience=_patience(config),
        device=f"cuda:{launch.local_rank}" if device == "cuda" else device,
        engine=True,
        chunk=0,
    )


def _launch(config: Config) -> Launch:
    launch = launched()
    if launch is None:
        raise ClusterError(
            "cluster.kind=torchrun, and torchrun did not start this process; start it as "
            "torchrun --nproc-per-node=N -m rethinker train RECIPE …"
        )
    if launch.local_ranks != launch.ranks:
        raise ClusterError(
            f"torchrun started {launch.ranks} processes, {launch.local_ranks} of them here: cluster.kind=torchrun is "
            "for one machine; take cluster.kind=ray for more"
        )
    if config.pipeline.staleness:
        raise ClusterError(
            f"pipeline.staleness={config.pipeline.staleness} needs engines in processes of their own, and under "
            "torchrun every rank holds learner and engine; take cluster.kind=ray, or pipeline.staleness=0"
        )
    return launch


def _patience(config: Config) -> float:
    assert config.cluster.kind == "torchrun"
    return config.cluster.patience_seconds
