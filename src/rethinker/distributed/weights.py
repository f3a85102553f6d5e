"""How the learner's weights reach engines that hold their own: within a process, or in chunks between processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from torch import Tensor

from rethinker.distributed.chunks import Chunk, chunked
from rethinker.distributed.peers import Peer, call_all
from rethinker.distributed.pool import PooledEngine
from rethinker.interfaces import RolloutEngine, WeightSync
from rethinker.types import Mean, Metrics

NamedWeights = Callable[[], Iterator[tuple[str, Tensor]]]
"""Whole weights, one at a time; every rank of the learner must ask for each."""


class BesideLearner:
    """Served by a rank that holds an engine too.

    Args:
        named_weights: The rank's.
    """

    def __init__(self, named_weights: NamedWeights, engine: RolloutEngine) -> None:
        self._named_weights = named_weights
        self._engine = engine

    def publish(self, version: int) -> None:
        """Give the engine the weights, without their leaving the process."""
        self._engine.load_weights(self._named_weights(), version)


class WeightSource:
    """Served by every rank of a learner whose engines are elsewhere.

    Args:
        limit: Bytes of a chunk.
        sends: Whether this rank's chunks are those that are used; the others take part in gathering them.
    """

    def __init__(self, named_weights: NamedWeights, *, limit: int, sends: bool) -> None:
        self._named_weights = named_weights
        self._limit = limit
        self._sends = sends
        self._chunks: Iterator[Chunk] | None = None

    def chunk(self) -> tuple[Chunk | None, bool]:
        """The next chunk, and whether it is the last; after which it begins again."""
        self._chunks = self._chunks or chunked(self._named_weights(), limit=self._limit)
        chunk = next(self._chunks)
        if chunk.last:
            self._chunks = None
        return (chunk if self._sends else None), chunk.last


class ColocatedSync(WeightSync):
    """Every rank gives its own engine the weights."""

    def __init__(self, ranks: Sequence[Peer], *, patience: float) -> None:
        self._ranks = ranks
        self._patience = patience

    def publish(self, version: int) -> Metrics:
        """After it returns, engines sample from the learner's weights under `version`."""
        call_all(self._ranks, "publish", version, patience=self._patience)
        return {}


Chunks = Callable[[], list[Any]]
"""All chunks of the present weights, or what stands for them."""


class ChunkedSync(WeightSync):
    """Chunks go from the first rank to every engine.

    The latest are kept until the next sync: an engine that is made again in between starts with the weights that the
    others have, whatever the learner does meanwhile.
    """

    def __init__(self, chunks: Chunks, engine: PooledEngine) -> None:
        self._chunks = chunks
        self._engine = engine
        self._latest: tuple[list[Any], int] | None = None

    def publish(self, version: int) -> Metrics:
        """After it returns, engines sample from the learner's weights under `version`."""
        self._latest = None  # two copies of the model are one too many
        self._latest = self._chunks(), version
        self._engine.load_chunks(*self._latest)
        return {"engine/lost": Mean(sum=self._engine.lost)}

    def catch_up(self, replica: Peer) -> Future[None] | None:
        """Give a new replica the weights of the latest sync; None where it starts with what all started with."""
        return replica.call("load_weights", *self._latest) if self._latest else None
