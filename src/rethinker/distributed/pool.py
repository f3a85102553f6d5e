"""One engine made of several replicas: requests go where least is to do, siblings together, and a death loses nothing.

What a request is owed is kept here until its completions are here. When a replica dies, what it still owed is asked of
another one, sample by sample with the same seeds, so nothing is lost and nothing is counted twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from torch import Tensor

from rethinker.distributed.chunks import chunked
from rethinker.distributed.peers import Peer
from rethinker.errors import RankLostError
from rethinker.interfaces import Request, RolloutEngine
from rethinker.types import Completion, Prompt

_CHUNK_BYTES = 256_000_000

_LOOK_UP = 1.0
"""Seconds after which whoever waits looks whether the pool was closed."""

Respawn = Callable[[int], Peer]
"""Make replica number so-and-so again, with the weights of the latest sync; raises `RankLostError` where it cannot."""


@dataclass(eq=False, slots=True)
class _Owed:
    """A request at a replica.

    Attributes:
        request: As it was asked there.
        samples: The caller's numbers of its samples.
        missing: Those that have not come.
    """

    request: Request
    samples: tuple[int, ...]
    missing: set[int]


@dataclass(eq=False, slots=True)
class _Replica:
    """A replica and what it owes, by the ids under which it was asked.

    Attributes:
        load: Tokens it may still have to sample.
    """

    peer: Peer
    owed: dict[str, _Owed] = field(default_factory=dict)
    asking: list[Future[None]] = field(default_factory=list)
    collecting: Future[list[Completion]] | None = None
    load: int = 0


class PooledEngine(RolloutEngine):
    """Samples from all of some replicas.

    Args:
        replicas: Each serves an `EngineReplica`.
        respawn: None lets the run stop when a replica is lost.
        patience: Seconds without a completion from any replica after which those that owe some are taken for dead.
    """

    def __init__(self, replicas: Sequence[Peer], *, respawn: Respawn | None = None, patience: float = 1800.0) -> None:
        self._replicas = [_Replica(peer) for peer in replicas]
        self._respawn = respawn
        self._patience = patience
        self._homes: WeakKeyDictionary[Prompt, _Replica] = WeakKeyDictionary()
        self._asked = 0
        self._closed = False
        self.lost = 0

    @property
    def peers(self) -> list[Peer]:
        """The replicas as they are now."""
        return [replica.peer for replica in self._replicas]

    @property
    def pending(self) -> int:
        """Samples submitted and not yet returned."""
        return sum(len(owed.missing) for replica in self._replicas for owed in replica.owed.values())

    def submit(self, requests: Sequence[Request]) -> None:
        """Give each request to the replica that has read its prompt, else to the one with the least to do."""
        chosen: dict[int, list[Request]] = {}
        for request in requests:
            samples = tuple(range(len(request.seeds)))
            place = self._place(request)
            asked = self._owe(self._replicas[place], request, samples)
            chosen.setdefault(place, []).append(asked)
        for place, asked_there in chosen.items():
            self._ask(self._replicas[place], asked_there)

    def step(self) -> list[Completion]:
        """Wait for the next completions from anywhere."""
        busy = [replica for replica in self._replicas if replica.owed]
        if not busy:
            return []
        for replica in busy:
            if replica.collecting is None:
                replica.collecting = replica.peer.call("collect")
        done = self._first_answer([replica.collecting for replica in busy if replica.collecting])
        answered = [replica for replica in busy if replica.collecting in done] or busy
        return [completion for replica in answered for completion in self._collected(replica)]

    def _first_answer(self, collecting: Sequence[Future[list[Completion]]]) -> Set[Future[list[Completion]]]:
        """Those that have answered; none, where all are silent for too long."""
        began = time.monotonic()
        while time.monotonic() - began < self._patience:
            done, _ = wait(collecting, min(_LOOK_UP, self._patience), return_when="FIRST_COMPLETED")
            if self._closed:
                raise RankLostError("the engines were closed while they were sampling")
            if done:
                return done
        return set()

    def cancel(self, request_id: str) -> None:
        """Forget a request wherever it is."""
        for replica in self._replicas:
            for name in [name for name, owed in replica.owed.items() if owed.request.id == request_id]:
                forgotten = replica.owed.pop(name)
                replica.load -= len(forgotten.missing) * forgotten.request.sampling.max_tokens
                replica.peer.call("cancel", name)

    def load_weights(self, weights: Iterator[tuple[str, Tensor]], version: int) -> None:
        """Send weights to every replica; a `WeightSync` of the cluster does it without this process in between."""
        self.load_chunks(list(chunked(weights, limit=_CHUNK_BYTES)), version)

    def load_chunks(self, chunks: Sequence[object], version: int) -> None:
        """Let every replica take weights; one that died meanwhile is replaced, which brings it the latest.

        Args:
            chunks: The chunks, or what stands for them there.
        """
        self.forget_homes()
        taking = [(replica, replica.peer.call("load_weights", chunks, version)) for replica in self._replicas]
        for replica, taken in taking:
            try:
                taken.result(timeout=self._patience)
            except (RankLostError, TimeoutError) as error:
                self._replace(replica, error)

    def forget_homes(self) -> None:
        """Weights changed and caches are gone: any replica may read a prompt now."""
        self._homes.clear()

    def sleep(self) -> None:
        """Let every replica give back what it can until the next sync."""
        for peer in self.peers:
            peer.call("sleep")

    def close(self) -> None:
        """Close every replica; whoever waits for one on another thread is told."""
        self._closed = True
        for peer in self.peers:
            peer.close()

    def _place(self, request: Request) -> int:
        home = self._homes.get(request.prompt)
        if home is not None and home in self._replicas:
            return self._replicas.index(home)
        place = min(range(len(self._replicas)), key=lambda each: self._replicas[each].load)
        self._homes[request.prompt] = self._replicas[place]
        return place

    def _owe(self, replica: _Replica, request: Request, samples: tuple[int, ...]) -> Request:
        """Note what is owed; the request under an id of this pool's own, as ids repeat once samples are asked again."""
        self._asked += 1
        name = str(self._asked)
        replica.owed[name] = _Owed(request=request, samples=samples, missing=set(samples))
        replica.load += len(samples) * request.sampling.max_tokens
        return replace(request, id=name, seeds=tuple(request.seeds[sample] for sample in samples))

    def _ask(self, replica: _Replica, requests: Sequence[Request]) -> None:
        replica.asking.append(replica.peer.call("submit", list(requests)))

    def _collected(self, replica: _Replica) -> list[Completion]:
        """What a replica brought; where it brought nothing because it is gone, what it owes is asked elsewhere."""
        collecting, replica.collecting = replica.collecting, None
        asked, replica.asking = replica.asking, []
        assert collecting is not None
        try:
            for asking in asked:  # answered before the collecting that came after it
                asking.result(timeout=0)
            finished = collecting.result(timeout=0)
        except (RankLostError, TimeoutError) as error:
            self._replace(replica, error)
            return []
        return [completion for one in finished if (completion := self._received(replica, one)) is not None]

    def _received(self, replica: _Replica, completion: Completion) -> Completion | None:
        owed = replica.owed.get(completion.request_id)
        if owed is None:  # cancelled while it was under way
            return None
        sample = owed.samples[completion.sample]
        owed.missing.remove(sample)
        replica.load -= owed.request.sampling.max_tokens
        if not owed.missing:
            del replica.owed[completion.request_id]
        return replace(completion, request_id=owed.request.id, sample=sample)

    def _replace(self, replica: _Replica, error: Exception) -> None:
        """Put a new replica in a lost one's place and ask for what that still owed."""
        if self._respawn is None or self._closed:
            raise RankLostError(f"{replica.peer.name} is gone: {error}") from error
        self.lost += 1
        place = self._replicas.index(replica)
        replica.peer.close()
        fresh = self._replicas[place] = _Replica(self._respawn(place))
        again = [
            self._owe(fresh, owed.request, tuple(sorted(owed.missing)))
            for owed in replica.owed.values()
            if owed.missing
        ]
        if again:
            self._ask(fresh, again)
