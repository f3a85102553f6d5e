"""How weights reach engines that hold their own: within a process, or between them in chunks or in one broadcast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from torch import Tensor

from rethinker.distributed.chunks import Chunk, chunked
from rethinker.distributed.peers import Peer, call_all, gather
from rethinker.distributed.pool import PooledEngine
from rethinker.interfaces import RolloutEngine, WeightSync
from rethinker.rollout.vllm_transfer import Meeting, Sending, sender
from rethinker.rollout.vllm_weights import Place, Receipt
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


class DirectSource:
    """Served by every rank of a learner whose weights go straight to the engines' workers.

    Args:
        sends: Whether this rank sends; the others take part in gathering weights.
        device: What the weights are on, "cuda" or "cpu".
    """

    def __init__(self, named_weights: NamedWeights, *, sends: bool, device: str) -> None:
        self._named_weights = named_weights
        self._sends = sends
        self._device = device
        self._places: Mapping[str, Place] = {}
        self._sending: Sending | None = None

    def join(self, meeting: Meeting, places: Mapping[str, Place]) -> None:
        """Meet the workers, which expect weights in these places."""
        self._places = places
        self._sending = sender(meeting, places, device=self._device)

    def send(self) -> Mapping[str, float]:
        """Send the present weights; Σ w² of what was sent for every parameter, nothing where others send."""
        if not self._sends:
            for _ in self._named_weights():
                pass
            return {}
        assert self._sending is not None
        receipt = Receipt(self._places)
        self._sending(receipt.passing(self._named_weights()))
        return receipt.sent()


class DirectSync(WeightSync):
    """Weights go from the first rank to the workers of all engines, past the driver, which keeps none.

    So an engine that dies cannot be given what the others have: the run goes back to its last checkpoint.

    Args:
        ranks: Each serves a `DirectSource`; the first sends.
        receivers: Of every engine of the pool, a `vllm_transfer.Receiver`.
        workers: Of one engine.
        address: `host:port` of the first rank's machine, the port free.
    """

    def __init__(
        self,
        ranks: Sequence[Peer],
        engine: PooledEngine,
        receivers: Sequence[Peer],
        *,
        workers: int,
        address: str,
        patience: float,
    ) -> None:
        self._ranks, self._engine, self._receivers = ranks, engine, receivers
        self._workers, self._patience = workers, patience
        host, _, port = address.rpartition(":")
        size = 1 + workers * len(receivers)
        self._meeting = Meeting(address=host, port=int(port), size=size, patience=patience)
        self._met = False

    def publish(self, version: int) -> Metrics:
        """After it returns, engines sample from the learner's weights under `version`."""
        if not self._met:
            self._meet()
        self._engine.forget_homes()
        peers = [*self._ranks, *self._receivers]
        asked = [rank.call("send") for rank in self._ranks] + [each.call("receive") for each in self._receivers]
        sent = gather(peers, asked, patience=self._patience)[0]
        call_all(self._receivers, "accept", sent, version, patience=self._patience)
        return {}

    def _meet(self) -> None:
        places = self._receivers[0].call("places").result(self._patience)
        first = [1 + number * self._workers for number in range(len(self._receivers))]
        asked = [self._ranks[0].call("join", self._meeting, places)] + [
            receiver.call("join", self._meeting, number)
            for receiver, number in zip(self._receivers, first, strict=True)
        ]
        gather([self._ranks[0], *self._receivers], asked, patience=self._patience)
        self._met = True


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
