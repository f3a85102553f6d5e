"""Processes for the ranks of a sharded learner: started once, made into learners of this or that size.

They are forked from a server that has imported torch already, and talk over the pipes that torchrun's ranks talk over.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributed import FileStore

from rethinker.build_learner import build_outline, build_planner, build_rank
from rethinker.config import Config
from rethinker.distributed import export
from rethinker.distributed.host import Host, portable
from rethinker.distributed.learner import ShardedLearner
from rethinker.distributed.peers import Peer
from rethinker.distributed.pipes import Pipe
from rethinker.distributed.rank import LearnerRank
from rethinker.distributed.sharding import whole
from rethinker.distributed.shipping import Catalogue
from rethinker.models.vlm import VLM

SECONDS = 120.0


class Seat:
    """What a process holds: a rank, once it was made."""

    rank: LearnerRank

    def make(self, config: Config, number: int, ranks: int, store: str) -> tuple[bool, bool]:
        torch.set_num_threads(1)
        if torch.distributed.is_initialized():  # a test failed before it closed its ranks
            torch.distributed.destroy_process_group()
        self.rank = build_rank(
            config, rank=number, ranks=ranks, store=FileStore(store, ranks), timeout_seconds=SECONDS, device="cpu"
        )
        return self.rank.sharing()

    def of_rank(self, method: str, *args: object) -> Any:
        return getattr(self.rank, method)(*args)

    def weights(self) -> dict[str, np.ndarray]:
        """Whole, and one at a time."""
        return {name: weight.float().clone().numpy() for name, weight in self.rank.named_weights()}

    def held(self) -> dict[str, int]:
        """Numbers of each weight that lie in this process, and of all its moments."""
        named = self.rank._learner.vlm.module.named_parameters()
        return {name: weight.to_local().numel() for name, weight in named}

    def masters(self) -> dict[str, np.ndarray]:
        """What the optimiser moves, whole."""
        named = self.rank._learner.vlm.module.named_parameters()
        return {name: whole(weight).detach().clone().numpy() for name, weight in named}

    def gradients(self) -> dict[str, np.ndarray]:
        """Of the last update, whole; 0 where there is none."""
        named = self.rank._learner.vlm.module.named_parameters()
        found = {name: torch.zeros_like(weight) if weight.grad is None else weight.grad for name, weight in named}
        return {name: whole(gradient).float().clone().numpy() for name, gradient in found.items()}

    def write_in_files_of(self, folder: str, file_bytes: int) -> None:
        export.write_model(self.rank._learner.vlm, Path(folder), file_bytes=file_bytes)

    def die(self) -> None:
        os._exit(9)

    def poison(self) -> None:
        """Let this rank alone have a loss that is not finite."""
        learner = self.rank._learner
        once = learner._policy_term

        def poisoned(*args: Any) -> Any:
            learner._policy_term = once
            term = once(*args)
            return type(term)(**{f: getattr(term, f) for f in term.__slots__} | {"losses": term.losses * torch.nan})

        learner._policy_term = poisoned


class RankPeer(Peer):
    """A seat's rank."""

    def __init__(self, name: str, seat: Peer) -> None:
        self.name = name
        self.seat = seat

    def call(self, method: str, *args: object) -> Future[Any]:
        return self.seat.call("of_rank", method, *args)

    def close(self) -> None:
        self.seat.call("of_rank", "close").result()


class Seats:
    """So many processes."""

    def __init__(self, count: int, folder: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.distributed.seats"])
        self._folder = folder
        self._made = 0
        catalogue = Catalogue()
        self._pipes: list[Pipe] = []
        for number in range(count):
            here, there = context.Pipe()
            context.Process(target=serve, args=(there,), daemon=True).start()
            there.close()
            self._pipes.append(Pipe(number, here, catalogue))

    def learner(self, config: Config, ranks: int) -> tuple[ShardedLearner, VLM, list[Peer]]:
        """A learner over the first processes, the driver's model, and the seats."""
        self._made += 1
        seats = [pipe.peer("seat") for pipe in self._pipes[:ranks]]
        store = str(self._folder / f"store-{self._made}")
        calls = [seat.call("make", config, number, ranks, store) for number, seat in enumerate(seats)]
        sharing = [call.result(SECONDS) for call in calls]
        vlm = build_outline(config, sharing[0])
        peers = [RankPeer(f"learner {number}", seat) for number, seat in enumerate(seats)]
        return ShardedLearner(peers, build_planner(config, vlm), patience=SECONDS), vlm, list(seats)

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()


def serve(connection: Connection) -> None:
    host = Host({"seat": Seat()})
    while message := connection.recv_bytes():
        target, shipment = pickle.loads(message)
        try:
            answer = True, host.handle(target, shipment)
        except Exception as error:  # noqa: BLE001 (whatever it is, the driver is told)
            answer = False, portable(error, where=target)
        connection.send_bytes(pickle.dumps(answer))
