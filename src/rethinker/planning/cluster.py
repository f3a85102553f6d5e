"""How a model lies on many GPUs, and what it costs to move bytes between them.

The learner is one FSDP group over all its GPUs, cut into equal shards. Engines are replicas of `tensor_parallel` GPUs
of one node, on the learner's GPUs (they take turns) or on GPUs of their own. Collectives are rings, as NCCL's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rethinker.errors import ConfigError
from rethinker.planning.efficiency import PUBLISHED, Efficiency
from rethinker.planning.gpus import Gpu
from rethinker.planning.shapes import Architecture

MOST_GPUS = 4096
"""As far as the model is meant to reach."""

WEIGHTS_SHARE = 0.4
"""Most of a GPU's memory that a replica's weights take where `tensor_parallel` is chosen here; the rest is for keys,
and for the learner's shards beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """GPUs of one kind and what is done on which.

    Attributes:
        tensor_parallel: GPUs of one engine replica.
        engine_gpus: GPUs that only generate; 0 where engines and the learner take turns on all.
        staleness: Episodes that generation may be ahead of the policy; from 1 on it overlaps the updates.
    """

    gpu: Gpu
    gpus: int
    tensor_parallel: int = 1
    engine_gpus: int = 0
    staleness: int = 0
    efficiency: Efficiency = PUBLISHED

    @property
    def replicas(self) -> int:
        """Engine replicas."""
        return (self.engine_gpus or self.gpus) // self.tensor_parallel

    @property
    def ranks(self) -> int:
        """Learner ranks."""
        return self.gpus - self.engine_gpus

    def grown(self, gpus: int) -> Cluster:
        """The same layout on another number of GPUs, with the same share of them for engines."""
        return replace(self, gpus=gpus, engine_gpus=self.engine_gpus * gpus // self.gpus)

    def ring(self, size: float, *, ranks: int, calls: float) -> float:
        """Seconds to gather (or to reduce and scatter) `size` bytes in `calls` pieces over a ring of neighbours.

        Every GPU receives nearly all of it. Between nodes all of a node's network cards work at once, so that a node is
        passed at their sum or at the link inside, whichever is less.
        """
        if ranks == 1:
            return 0.0
        crossing = ranks > self.gpu.node
        link = min(self.gpu.inside, self.gpu.node * self.gpu.between) if crossing else self.gpu.inside
        return size * (ranks - 1) / ranks / (link * self.efficiency.link) + calls * (ranks - 1) * self.efficiency.hop

    def summed(self, size: float, *, calls: float) -> float:
        """Seconds to add up `size` bytes, in `calls` pieces, over the GPUs of one replica.

        Small pieces go to every other GPU at once, large ones round a ring.
        """
        others = self.tensor_parallel - 1
        if not others:
            return 0.0
        link = self.gpu.inside * self.efficiency.link
        at_once = others * size / link + calls * 2 * self.efficiency.hop
        return min(at_once, 2 * others / (others + 1) * size / link + calls * 2 * others * self.efficiency.hop)


def layout(
    gpu: Gpu,
    gpus: int,
    model: Architecture,
    *,
    width: int,
    tensor_parallel: int = 0,
    engine_gpus: int = 0,
    staleness: int,
) -> Cluster:
    """A layout that can be placed.

    Args:
        width: Bytes of one weight.
        tensor_parallel: 0 takes the least power of two with which a replica's weights leave room.

    Raises:
        ConfigError: sizes that do not divide, more than there are, or an overlap of what takes turns.
    """
    if gpus > MOST_GPUS:
        raise ConfigError(f"--gpus {gpus}: a step is modelled for up to {MOST_GPUS:,} GPUs")
    if gpus > gpu.node and gpus % gpu.node:
        below = gpus // gpu.node * gpu.node
        raise ConfigError(
            f"--gpus {gpus} are no whole number of nodes of {gpu.node} GPUs; take {below} or {below + gpu.node}"
        )
    if engine_gpus >= gpus:
        raise ConfigError(
            f"--engine-gpus {engine_gpus} leave the learner none of --gpus {gpus}; take fewer, or 0 to share"
        )
    if staleness and not engine_gpus:
        raise ConfigError(
            f"--staleness {staleness}: engines and the learner take turns on the same GPUs, so nothing can overlap; "
            f"give engines GPUs of their own with --engine-gpus (half: {gpus // 2})"
        )
    generating = engine_gpus or gpus
    chosen = tensor_parallel or _least_parallel(gpu, model, width, generating)
    _divides(chosen, generating, gpu, model)
    return Cluster(gpu=gpu, gpus=gpus, tensor_parallel=chosen, engine_gpus=engine_gpus, staleness=staleness)


def _least_parallel(gpu: Gpu, model: Architecture, width: int, generating: int) -> int:
    """The least power of two with which a replica's weights leave room; a node's where none does."""
    parallel = 1
    while model.total.total * width / parallel > WEIGHTS_SHARE * gpu.memory and parallel < min(gpu.node, generating):
        parallel *= 2
    return parallel


def _divides(parallel: int, generating: int, gpu: Gpu, model: Architecture) -> None:
    if parallel > gpu.node or gpu.node % parallel:
        raise ConfigError(
            f"--tensor-parallel {parallel} does not divide a node of {gpu.node} GPUs; take a power of two"
        )
    if generating % parallel:
        raise ConfigError(
            f"--tensor-parallel {parallel} does not divide the {generating} GPUs that generate; "
            f"take {generating // parallel * parallel or parallel} of them, or another size of replicas"
        )
    if model.language.heads % parallel:
        raise ConfigError(
            f"--tensor-parallel {parallel} does not divide the model's {model.language.heads} attention heads"
        )
