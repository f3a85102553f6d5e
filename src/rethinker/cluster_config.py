"""Where a run's processes are: the `cluster` and `pipeline` sections."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rethinker.config_section import Count, Natural, Positive, Section


class LocalClusterConfig(Section):
    """One process: learner and engine share it."""

    kind: Literal["local"] = "local"


class TorchrunClusterConfig(Section):
    """The ranks of one `torchrun` on one machine; each holds a shard of the learner and an engine replica."""

    kind: Literal["torchrun"] = "torchrun"
    patience_seconds: Positive = 1800.0
    """A rank that does not answer for so long is taken for dead."""


class RayClusterConfig(Section):
    """Processes placed and supervised by Ray, on one machine or many."""

    kind: Literal["ray"] = "ray"
    address: str = ""
    """Of a running Ray (`auto`, or host:port); empty starts one on this machine alone."""
    ranks: Count = 1
    """Processes that hold a shard of the learner each."""
    min_ranks: Natural = 0
    """When a node is lost for good, go on with as few ranks as this; 0 does not go on with fewer."""
    colocated: bool = False
    """Every rank holds an engine replica too, which then take turns; else engines have processes of their own."""
    cpus: Positive = 1.0
    """CPUs of each process."""
    gpus: Annotated[float, Field(ge=0.0)] = 1.0
    """GPUs of each process where `device` is not `cpu`; an engine gets `engine.tensor_parallel` times as many."""
    placement_seconds: Positive = 300.0
    """How long processes may wait for room, and a lost node may take to come back."""
    start_seconds: Positive = 900.0
    """How long processes that have room may take to start and to load what they hold."""
    patience_seconds: Positive = 1800.0
    """A process that does not answer for so long is taken for dead."""
    max_restarts: Natural = 3
    """How often the run goes on from its last checkpoint by itself after a rank was lost."""
    chunk_bytes: Count = 256_000_000
    """Weights go to engines in pieces of about this size."""

    @model_validator(mode="after")
    def _fewer_is_fewer(self) -> Self:
        if self.min_ranks > self.ranks:
            raise ValueError(f"cluster.min_ranks={self.min_ranks} is more than cluster.ranks={self.ranks}")
        return self


ClusterConfig = Annotated[LocalClusterConfig | TorchrunClusterConfig | RayClusterConfig, Field(discriminator="kind")]


class PipelineConfig(Section):
    """Whether generation runs ahead of learning."""

    staleness: Natural = 0
    """Syncs between the sampling of an episode and its first update: with 1, the next episode is sampled while this one
    is trained on. Needs engines in processes of their own."""
    max_staleness: Natural = 4
    """Samples of more syncs ago are dropped and counted (`pipeline/dropped`)."""


class ShardingConfig(Section):
    """How ranks share a model (FSDP2); nothing of it acts on a learner in one process."""

    offload: bool = False
    """Keep weights, gradients and moments in the host's memory: less of the GPU's, and slower."""
    reshard_after_forward: bool = True
    """Forget a layer after its forward and gather it again for its backward: less memory, half as much again sent."""
    reduce_every_micro_batch: bool = False
    """Spread gradients over ranks after every micro-batch: less memory, more sent. Else each rank holds whole ones."""
