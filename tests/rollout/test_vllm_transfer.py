"""Both ends agree on what comes, in which order; whole transfers are in `tests/e2e/test_vllm_run.py`."""

from __future__ import annotations

import socket
import threading

import pytest
import torch

from rethinker.errors import RethinkerError
from rethinker.rollout.gloo import joined
from rethinker.rollout.vllm_transfer import Meeting, sender
from rethinker.rollout.vllm_weights import Place, Receipt

PLACES = {
    name: Place(parameter=name, dtype=torch.float32, shape=(2, 3), copies=1) for name in ("first", "second", "third")
}


@pytest.fixture
def meeting() -> Meeting:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Meeting(address="127.0.0.1", port=port, size=3, patience=60)


def test_what_is_sent_arrives_at_every_worker_with_the_squares_of_the_receipt(meeting: Meeting) -> None:
    arrived: dict[int, list[torch.Tensor]] = {1: [], 2: []}

    def receive(rank: int) -> None:
        group = joined(address=meeting.address, port=meeting.port, rank=rank, size=3, patience=60)
        for place in PLACES.values():
            weight = torch.empty(place.shape)
            group.broadcast(weight, root=0).wait()
            arrived[rank].append(weight)

    workers = [threading.Thread(target=receive, args=(rank,)) for rank in arrived]
    for worker in workers:
        worker.start()
    send = sender(meeting, PLACES, device="cpu")
    weights = [(name, torch.full((2, 3), float(number))) for number, name in enumerate(PLACES)]
    receipt = Receipt(PLACES)
    send(receipt.passing(iter(weights)))
    for worker in workers:
        worker.join()
    for got in arrived.values():
        assert [float(weight[0, 0]) for weight in got] == [0.0, 1.0, 2.0]
    assert receipt.sent() == pytest.approx({"first": 0.0, "second": 6.0, "third": 24.0})


def test_weights_in_another_order_than_the_engine_expects_are_named(meeting: Meeting) -> None:
    alone = Meeting(address=meeting.address, port=meeting.port, size=1, patience=60)
    send = sender(alone, PLACES, device="cpu")
    with pytest.raises(
        RethinkerError, match=r"has the weight second \(2, 3\) where the engine expects first; set engine"
    ):
        send(iter([("second", torch.zeros(2, 3))]))
