"""A real Ray on this machine, and actors that die."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import ray
from tests.distributed.echo import echo

from rethinker.distributed.peers import call_all
from rethinker.errors import ClusterError, DataError, RankLostError
from rethinker.types import Image, Prompt

ray_cluster = pytest.importorskip("rethinker.distributed.ray_cluster", reason="Ray is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    made = ray_cluster.RayCluster(address="", placement_seconds=60, cpus=4)
    lines = made.take([ray_cluster.Seat(name=f"rank {number}", cpus=1, gpus=0) for number in range(2)])
    for number, line in enumerate(lines):
        line.open(partial(echo, number)).result(timeout=60)
    yield made
    made.close()


def peers(cluster) -> list:
    return [line.peer("echo") for line in cluster._lines]


def test_actors_serve_calls_in_processes_of_their_own(cluster) -> None:
    found = call_all(peers(cluster), "where")
    assert [number for number, _ in found] == [0, 1]
    assert len({os.getpid(), *(process for _, process in found)}) == 3


def test_a_prompt_is_put_once_and_mapped_by_every_actor(cluster) -> None:
    image = Image(pixels=np.zeros((600, 600, 3), dtype=np.uint8))
    one, other = (Prompt(problem_id="p", token_ids=np.arange(3), images=(image,), text="") for _ in range(2))
    assert call_all(peers(cluster), "meet", [one, one]) == [(1, True)] * 2
    assert call_all(peers(cluster), "meet", [other, one]) == [(2, True)] * 2
    assert len(cluster._catalogue._stored) == 2


def test_errors_of_an_actor_are_raised_here_as_they_are(cluster) -> None:
    with pytest.raises(DataError, match="1 refuses"):
        peers(cluster)[1].call("refuse").result()


def test_results_go_from_actor_to_actor_by_reference(cluster) -> None:
    first, second = peers(cluster)
    array, number = first.refer("pair", returns=2)
    assert second.call("total", [array, array]).result() == 90
    assert ray.get(number) == 0


def test_a_killed_actor_is_said_by_name_and_its_seat_can_be_taken_again(cluster) -> None:
    first, second = peers(cluster)
    _, process = first.call("where").result()
    first.call("say").result()
    waiting = first.call("hang")
    os.kill(process, signal.SIGKILL)
    with pytest.raises(RankLostError, match="rank 0 is gone") as lost:
        waiting.result(timeout=60)
    address = re.escape(ray.util.get_node_ip_address())
    assert re.search(rf"its log on {address} is \S+\.err, which ends with: said on stderr$", str(lost.value))
    with pytest.raises(RankLostError, match="rank 0 is gone"):
        first.call("where").result(timeout=60)
    line = cluster.retake(0)
    line.open(partial(echo, 7)).result(timeout=60)
    number, fresh = line.peer("echo").call("where").result(timeout=60)
    assert number == 7
    assert fresh != process
    assert second.call("where").result()[0] == 1


def test_seats_that_cannot_be_had_are_named_with_what_there_is(cluster) -> None:
    asked = [ray_cluster.Seat(name="learner rank 0", cpus=1, gpus=1), ray_cluster.Seat(name="engine 0", cpus=9, gpus=0)]
    kept = cluster._lines, cluster._seats, cluster._group
    try:
        with pytest.raises(ClusterError) as refused:  # at once: nobody joins a Ray that was started here
            cluster.take(asked)
    finally:
        cluster._lines, cluster._seats, cluster._group = kept
    words = str(refused.value)
    assert words.startswith("this machine has no room for 2 processes: ")
    assert "learner rank 0 (1 CPU and 1 GPU), engine 0 (9 CPU); 10 CPU and 1 GPU in all, of 4 CPU and 0 GPU" in words
