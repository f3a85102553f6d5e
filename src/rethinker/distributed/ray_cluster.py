"""Processes placed and supervised by Ray: one actor per seat, all seats placed together or none.

What an actor holds is the caller's business: `RayLine.open` makes it there. Actors are not restarted by Ray itself, for
a new one would be empty: who lost one asks for its seat again and fills it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from rethinker.distributed.host import Host, portable
from rethinker.distributed.peers import Peer, no_answer
from rethinker.distributed.ray_connection import connect
from rethinker.distributed.shipping import Catalogue, Sender, Shipment
from rethinker.errors import ClusterError, RankLostError

_LOG = logging.getLogger("rethinker")
_SOON = 3.0
"""Seconds within which seats are had where there is room."""

Make = Callable[[], Mapping[str, object]]
"""Makes what a process serves, in that process; pickled on its way there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Room for one process.

    Attributes:
        name: For people ("learner rank 2").
    """

    name: str
    cpus: float
    gpus: float

    @property
    def bundle(self) -> dict[str, float]:
        """As Ray wants it."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where a process is, for people who look for what is left of it.

    Attributes:
        node: Address of its machine.
        log: The file there that has its stderr.
    """

    node: str
    log: Path

    def __str__(self) -> str:
        lines = self.log.read_text(errors="replace").split("\n") if self.log.is_file() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its log on {self.node} is {self.log}" + (f", which ends with: {last}" if last else "")


class _Actor:
    """The far side of a `RayLine`."""

    def __init__(self) -> None:
        self._host = Host({})

    def whereabouts(self) -> Whereabouts:
        """Ray has put stderr into a file of this process's own."""
        return Whereabouts(node=ray.util.get_node_ip_address(), log=Path(os.readlink("/proc/self/fd/2")))

    def address(self) -> str:
        """An address of this machine with a port that is free now."""
        with socket.socket() as probe:
            probe.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{probe.getsockname()[1]}"

    def open(self, make: Make) -> None:
        """Make what is served."""
        try:
            self._host = Host(make(), fetch=ray.get)
        except Exception as error:  # noqa: BLE001 (whatever it is, the driver is told)
            raise portable(error, where="the start") from None

    def handle(self, target: str, shipment: Shipment) -> Any:
        """Serve one call."""
        try:
            return self._host.handle(target, shipment)
        except Exception as error:  # noqa: BLE001 (whatever it is, the driver is told)
            raise portable(error, where=target) from None


class RayLine:
    """The driver's end of the line to one actor; its objects are peers that share it."""

    def __init__(self, seat: Seat, actor: Any, catalogue: Catalogue) -> None:
        self.seat = seat
        self._actor = actor
        self._sender = Sender(catalogue)
        self._lock = threading.Lock()
        self._whereabouts: Whereabouts | None = None
        actor.whereabouts.remote().future().add_done_callback(self._note)

    def _note(self, told: Future[Whereabouts]) -> None:
        if told.exception() is None:
            self._whereabouts = told.result()

    def address(self, patience: float, *, limit: str) -> str:
        """Where other processes may meet it; answers once it runs."""
        return str(self.answer(self._actor.address.remote(), patience, limit=limit))

    def open(self, make: Make) -> Future[None]:
        """Make what the actor serves."""
        return self.mapped(self._actor.open.remote(make))

    def peer(self, served: str) -> RayPeer:
        """One of the objects over there."""
        return RayPeer(f"{self.seat.name}", served, self)

    def send(self, target: str, arguments: tuple[object, ...], *, returns: int = 1) -> Any:
        """Call over there; what comes back, by reference.

        Args:
            returns: How many values the call returns, each with a reference of its own.
        """
        with self._lock:  # shipments must arrive in the order in which they were packed
            shipment = self._sender.pack(arguments)
            return self._actor.handle.options(num_returns=returns).remote(target, shipment)

    def mapped(self, reference: Any) -> Future[Any]:
        """A future of the value behind a reference, with our errors in place of Ray's."""
        mapped: Future[Any] = Future()

        def settle(done: Future[Any]) -> None:
            error = done.exception()
            if error is None:
                mapped.set_result(done.result())
            else:
                mapped.set_exception(self._translated(error))

        reference.future().add_done_callback(settle)
        return mapped

    def answer(self, reference: Any, patience: float, *, limit: str = "cluster.patience_seconds") -> Any:
        """The value behind a reference, with our errors in place of Ray's."""
        try:
            return ray.get(reference, timeout=patience)
        except GetTimeoutError as error:
            raise RankLostError(no_answer(self.seat.name, f"{limit}={patience:g}")) from error
        except RayError as error:
            raise self._translated(error) from error

    def _translated(self, error: BaseException) -> BaseException:
        if isinstance(error, RayTaskError):
            return error.cause
        if not isinstance(error, RayError):
            return error
        gone = f"{self.seat.name} is gone: {_why(error)}"
        return RankLostError(f"{gone}; {self._whereabouts}" if self._whereabouts else gone)

    def kill(self) -> None:
        """End the process at once."""
        ray.kill(self._actor)


class RayPeer(Peer):
    """An object of an actor."""

    def __init__(self, name: str, served: str, line: RayLine) -> None:
        self.name = name
        self._served = served
        self.line = line

    def call(self, method: str, *args: object) -> Future[Any]:
        """Send the call."""
        return self.line.mapped(self.refer(method, *args))

    def refer(self, method: str, *args: object, returns: int = 1) -> Any:
        """Send the call and do not bring its result here (see `RayLine.send`)."""
        return self.line.send(f"{self._served}.{method}", args, returns=returns)

    def close(self) -> None:
        """End the actor, other objects of it included."""
        self.line.kill()


class RayCluster:
    """A connection to Ray, and the seats taken there.

    Args:
        address: Of a running Ray; empty starts one on this machine alone.
        placement_seconds: How long seats may take to be had.
        cpus: What a Ray that is started here says it has.

    Raises:
        ClusterError: nobody is at that address.
    """

    def __init__(self, *, address: str, placement_seconds: float, cpus: float) -> None:
        self._patience = placement_seconds
        self._alone = not address
        self._group: PlacementGroup | None = None
        self._seats: list[Seat] = []
        self._catalogue = Catalogue(ray.put, carried=(ray.ObjectRef,))
        self._lines: list[RayLine] = []
        connect(address, cpus=cpus)

    def take(self, seats: Sequence[Seat]) -> list[RayLine]:
        """A process on every seat.

        Raises:
            ClusterError: they cannot all be had.
        """
        self._seats = list(seats)
        self._group = placement_group([seat.bundle for seat in seats], strategy="PACK")
        if not self._group.wait(min(_SOON, self._patience)) and not self._waited(seats):
            remove_placement_group(self._group)
            raise ClusterError(
                f"the cluster has no room for {len(seats)} processes after cluster.placement_seconds="
                f"{self._patience:g}: {_room(seats)}. Ask for fewer (cluster.ranks, engine.replicas, "
                "engine.tensor_parallel), add nodes, or wait longer"
            )
        self._lines = [self._sit(place) for place in range(len(seats))]
        return self._lines

    def _waited(self, seats: Sequence[Seat]) -> bool:
        """Whether there is room after a while; a Ray that was started here nobody joins."""
        assert self._group is not None
        if self._alone:
            remove_placement_group(self._group)
            raise ClusterError(
                f"this machine has no room for {len(seats)} processes: {_room(seats)}. Ask for fewer (cluster.ranks, "
                "engine.replicas, engine.tensor_parallel), or join a larger Ray by cluster.address"
            )
        _LOG.warning(
            "no room yet for %d processes: %s. Waiting up to cluster.placement_seconds=%g",
            len(seats),
            _room(seats),
            self._patience,
        )
        return bool(self._group.wait(max(0.0, self._patience - _SOON)))

    def retake(self, place: int) -> RayLine:
        """Another process on a seat whose own is dead or hangs.

        Raises:
            RankLostError: it cannot be had: its node is gone.
        """
        self._lines[place].kill()
        line = self._lines[place] = self._sit(place)
        line.address(self._patience, limit="cluster.placement_seconds")
        return line

    def close(self) -> None:
        """End every process and leave Ray, which ends too where it was started here."""
        for line in self._lines:
            line.kill()
        if self._group is not None:
            remove_placement_group(self._group)
        ray.shutdown()

    def _sit(self, place: int) -> RayLine:
        seat = self._seats[place]
        assert self._group is not None
        strategy = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=place)
        named = type(seat.name.replace(" ", "_"), (_Actor,), {})  # what `ps` and Ray's own lists show
        make: Any = ray.remote(named).options(num_cpus=seat.cpus, num_gpus=seat.gpus, scheduling_strategy=strategy)
        return RayLine(seat, make.remote(), self._catalogue)


def meet_where_ray_does() -> None:
    """Let collectives use the network by which Ray knows this machine; a host name may stand for the loopback alone."""
    address = ray.util.get_node_ip_address()
    for interface, addresses in psutil.net_if_addrs().items():
        if any(each.address == address for each in addresses):
            for library in ("GLOO", "NCCL"):
                os.environ.setdefault(f"{library}_SOCKET_IFNAME", interface)


def gathered_chunks(sources: Sequence[RayPeer], *, patience: float) -> list[Any]:
    """References to all chunks of the present weights; all ranks gather them, the first one's are used."""
    chunks = []
    while True:
        answers = [source.refer("chunk", returns=2) for source in sources]
        chunk, last = answers[0]
        chunks.append(chunk)
        if sources[0].line.answer(last, patience):
            return chunks


def _room(seats: Sequence[Seat]) -> str:
    """What each seat takes, and what there is."""
    asked = ", ".join(f"{seat.name} ({_amounts(seat.bundle)})" for seat in seats)
    total = {kind: sum(seat.bundle.get(kind, 0) for seat in seats) for kind in ("CPU", "GPU")}
    there = {kind: ray.cluster_resources().get(kind, 0) for kind in ("CPU", "GPU")}
    free = {kind: ray.available_resources().get(kind, 0) for kind in ("CPU", "GPU")}
    return f"{asked}; {_amounts(total)} in all, of {_amounts(there)} there and {_amounts(free)} free"


def _amounts(bundle: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {kind}" for kind, amount in bundle.items())


def _why(error: RayError) -> str:
    """Ray's reason, without the lines in which it lists the actor's own data."""
    lines = str(error).strip().splitlines()
    return " ".join(line.strip() for line in lines if line and not line.startswith("\t"))
