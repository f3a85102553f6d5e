"""A pool of replicas behind peers that a test can kill."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from tests.rollout.scripted import ScriptedEngine

from rethinker.distributed.peers import Peer
from rethinker.distributed.pool import PooledEngine
from rethinker.distributed.replica import EngineReplica
from rethinker.errors import RankLostError
from rethinker.interfaces import Request, Sampling
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.types import Prompt


class MortalPeer(Peer):
    """Calls at once, until it is killed or its life of so many calls of `collect` is over."""

    def __init__(self, name: str, vlm: VLM, *, life: int | None = None, hangs: bool = False) -> None:
        self.name = name
        self.engine = ScriptedEngine(vlm, lambda request, sample: f"seed {request.seeds[sample]}")
        self._served = EngineReplica(self.engine)
        self._life = life
        self._hangs = hangs
        self.closed = False

    def call(self, method: str, *args: object) -> Future[Any]:
        future: Future[Any] = Future()
        if method == "collect" and self._life is not None:
            self._life -= 1
        if self._life is not None and self._life < 0:
            if not self._hangs:
                future.set_exception(RankLostError(f"{self.name} is gone"))
            return future
        try:
            bit_by_bit = method == "collect" and self.engine.pending
            future.set_result(self.engine.step() if bit_by_bit else getattr(self._served, method)(*args))
        except ValueError as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        self.closed = True


def requests(count: int, *, samples: int = 4, prompts: list[Prompt] | None = None) -> list[Request]:
    prompts = prompts or [Prompt(problem_id=f"p{i}", token_ids=np.arange(3), images=(), text="") for i in range(count)]
    return [
        Request(
            id=f"r{i}",
            prompt=prompts[i],
            prefix=np.zeros(0, dtype=np.int64),
            sampling=Sampling(max_tokens=8),
            seeds=tuple(range(10 * i, 10 * i + samples)),
        )
        for i in range(count)
    ]


def answers(engine: PooledEngine, asked: list[Request], vlm: VLM) -> Counter[tuple[str, int, str]]:
    return Counter((each.request_id, each.sample, vlm.decode(each.token_ids)) for each in generate(engine, asked))


def wanted(asked: list[Request]) -> Counter[tuple[str, int, str]]:
    return Counter((each.id, sample, f"seed {seed}") for each in asked for sample, seed in enumerate(each.seeds))


def test_requests_are_spread_and_siblings_stay_together(tiny_vlm: VLM) -> None:
    peers = [MortalPeer(name, tiny_vlm) for name in "ab"]
    asked = requests(6)
    assert answers(PooledEngine(peers), asked, tiny_vlm) == wanted(asked)
    assert [len(peer.engine.asked) for peer in peers] == [3, 3]
    assert all(len(request.seeds) == 4 for peer in peers for request in peer.engine.asked)


def test_a_second_look_goes_to_the_replica_that_has_read_its_prompt(tiny_vlm: VLM) -> None:
    peers = [MortalPeer(name, tiny_vlm) for name in "abc"]
    pool = PooledEngine(peers)
    asked = requests(3)
    answers(pool, asked, tiny_vlm)
    for _ in range(2):
        answers(pool, requests(1, samples=1, prompts=[asked[2].prompt]), tiny_vlm)
    homes = [[request.prompt.problem_id for request in peer.engine.asked] for peer in peers]
    assert sorted(homes) == [["p0"], ["p1"], ["p2", "p2", "p2"]]


@pytest.mark.parametrize("life", range(6))
@pytest.mark.parametrize("hangs", [False, True])
def test_a_replica_that_dies_at_any_moment_loses_nothing_and_nothing_counts_twice(
    tiny_vlm: VLM, life: int, hangs: bool
) -> None:
    doomed, other = MortalPeer("a", tiny_vlm, life=life, hangs=hangs), MortalPeer("b", tiny_vlm)
    made: list[MortalPeer] = []

    def respawn(place: int) -> Peer:
        made.append(MortalPeer(f"again {place}", tiny_vlm))
        return made[-1]

    pool = PooledEngine([doomed, other], respawn=respawn, patience=0.01)
    asked = requests(4)
    assert answers(pool, asked, tiny_vlm) == wanted(asked)
    assert pool.lost == len(made) == 1
    assert doomed.closed
    assert pool.pending == 0


def test_a_replica_that_dies_between_two_rounds_is_found_out_by_the_next(tiny_vlm: VLM) -> None:
    doomed = MortalPeer("a", tiny_vlm)
    pool = PooledEngine([doomed], respawn=lambda place: MortalPeer("again", tiny_vlm))
    assert answers(pool, requests(1), tiny_vlm)
    doomed._life = -1
    asked = requests(3)
    assert answers(pool, asked, tiny_vlm) == wanted(asked)


def test_without_respawn_the_run_stops_and_says_who_is_gone(tiny_vlm: VLM) -> None:
    pool = PooledEngine([MortalPeer("engine 0", tiny_vlm, life=0)])
    with pytest.raises(RankLostError, match="engine 0 is gone"):
        answers(pool, requests(1), tiny_vlm)


def test_a_cancelled_request_is_never_returned(tiny_vlm: VLM) -> None:
    pool = PooledEngine([MortalPeer("a", tiny_vlm)])
    pool.submit(requests(2))
    pool.cancel("r0")
    assert pool.pending == 4
    assert {each.request_id for each in generate(pool, [])} == {"r1"}


def test_a_refused_request_is_an_error_and_not_a_lost_replica(tiny_vlm: VLM) -> None:
    peer = MortalPeer("a", tiny_vlm)

    def refuse(asked: object) -> None:
        raise ValueError("asks for 0 tokens")

    peer.engine.submit = refuse  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="asks for 0 tokens"):
        answers(PooledEngine([peer]), requests(1), tiny_vlm)


def test_whoever_waits_for_a_silent_replica_is_told_when_the_pool_closes(tiny_vlm: VLM) -> None:
    pool = PooledEngine([MortalPeer("a", tiny_vlm, life=0, hangs=True)], respawn=lambda place: pool.peers[place])
    pool.submit(requests(1))
    threading.Timer(0.1, pool.close).start()
    with pytest.raises(RankLostError, match="closed while they were sampling"):
        pool.step()
