"""Real processes behind pipes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from torch.distributed import TCPStore

from rethinker.distributed.host import Host, portable
from rethinker.distributed.peers import Peer, call_all, gather
from rethinker.distributed.pipes import Pipe, listen, serve
from rethinker.errors import DataError, RankLostError
from rethinker.types import Prompt

PATIENCE = 60.0


class Echo:
    """What a rank may hold."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.seen: list[Prompt] = []

    def where(self, offset: int) -> int:
        return self.rank + offset

    def meet(self, prompt: Prompt) -> int:
        """How many different prompts it has met."""
        if not any(prompt is each for each in self.seen):
            self.seen.append(prompt)
        return len(self.seen)

    def refuse(self) -> None:
        raise DataError(f"rank {self.rank} refuses")

    def fail(self) -> None:
        class Unpicklable(Exception):  # noqa: N818
            pass

        raise Unpicklable("deep inside")

    def die(self) -> None:
        os._exit(9)

    def hang(self) -> None:
        threading.Event().wait()


def rank(number: int, port: int) -> None:
    store = TCPStore("127.0.0.1", port, is_master=False)
    serve(store, Host({"echo": Echo(number)}), rank=number, patience=PATIENCE)


@pytest.fixture
def pipes() -> Iterator[dict[int, Pipe]]:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=rank, args=(number, store.port), daemon=True) for number in (1, 2)]
    for process in processes:
        process.start()
    found = listen(store, ranks=3, patience=PATIENCE)
    yield found
    for pipe in found.values():
        pipe.close()
    for process in processes:
        process.kill()
        process.join()


def peers(pipes: dict[int, Pipe]) -> list[Peer]:
    return [pipes[number].peer("echo") for number in (1, 2)]


def test_ranks_answer_in_order_and_keep_prompts(pipes: dict[int, Pipe]) -> None:
    prompt = Prompt(problem_id="p", token_ids=np.arange(3), images=(), text="")
    other = Prompt(problem_id="p", token_ids=np.arange(3), images=(), text="")
    first, second = peers(pipes)
    assert call_all([first, second], "where", 10) == [11, 12]
    assert [future.result() for future in [first.call("where", each) for each in range(50)]] == list(range(1, 51))
    assert [first.call("meet", each).result() for each in (prompt, prompt, other, prompt)] == [1, 1, 2, 2]


def test_errors_of_a_rank_are_raised_here(pipes: dict[int, Pipe]) -> None:
    first, second = peers(pipes)
    with pytest.raises(DataError, match="rank 1 refuses"):
        first.call("refuse").result()
    with pytest.raises(RuntimeError, match="Unpicklable: deep inside") as failed:
        second.call("fail").result()
    assert "in fail" in failed.value.__notes__[0]
    assert first.call("where", 0).result() == 1  # it goes on


def test_a_rank_that_dies_or_hangs_is_said_by_name(pipes: dict[int, Pipe]) -> None:
    first, second = peers(pipes)
    second.call("hang")
    with pytest.raises(RankLostError, match=r"echo 2 did not answer within cluster\.patience_seconds=0\.1"):
        call_all([first, second], "where", 0, patience=0.1)
    with pytest.raises(RankLostError, match="the process of rank 1 is gone"):
        first.call("die").result(timeout=PATIENCE)
    with pytest.raises(RankLostError, match="the process of rank 1 is gone"):
        first.call("where", 0).result()


def test_an_error_of_a_ranks_own_is_told_before_the_death_of_another(pipes: dict[int, Pipe]) -> None:
    first, second = peers(pipes)
    futures: list[Any] = [first.call("die"), second.call("refuse")]
    for future in futures:
        future.exception(timeout=PATIENCE)
    with pytest.raises(DataError, match="rank 2 refuses"):
        gather([first, second], futures)


def test_ranks_that_do_not_come_are_counted() -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with pytest.raises(RankLostError, match=r"ranks \[1, 2\] did not come within 0\.1 seconds"):
        listen(store, ranks=3, patience=0.1)


def test_what_a_collective_says_of_a_death_is_a_lost_rank() -> None:
    said = "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.0.0.2]:58004.\nThis is typically caused by"
    found = portable(RuntimeError(said), where="learner.run")
    assert isinstance(found, RankLostError)
    assert "another learner rank died or cannot be reached: [gloo/transport/tcp/pair.cc:553]" in str(found)
    assert isinstance(portable(RuntimeError("shapes differ"), where="learner.run"), RuntimeError)
