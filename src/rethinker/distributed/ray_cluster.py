"""Processes placed and supervised by Ray: one actor per seat, all seats placed together or none.

What an actor holds is the caller's business: `RayLine.open` makes it there. Actors are not restarted by Ray itself, for
a new one would be empty: who lost one asks for its seat again and fills it.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import psutil
import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from rethinker.distributed.host import Host, portable
from rethinker.distributed.peers import Peer
from rethinker.distributed.shipping import Catalogue, Sender, Shipment
from rethinker.errors import ClusterError, RankLostError

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


class _Actor:
    """The far side of a `RayLine`."""

    def __init__(self) -> None:
        self._host = Host({})

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

    def address(self, patience: float) -> str:
        """Where other processes may meet it."""
        return str(_answer(self._actor.address.remote(), self.seat.name, patience))

    def open(self, make: Make) -> Future[None]:
        """Make what the actor serves."""
        return _mapped(self._actor.open.remote(make), self.seat.name)

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

    def kill(self) -> None:
        """End the process at once."""
        ray.kill(self._actor)


class RayPeer(Peer):
    """An object of an actor."""

    def __init__(self, name: str, served: str, line: RayLine) -> None:
        self.name = name
        self._served = served
        self._line = line

    def call(self, method: str, *args: object) -> Future[Any]:
        """Send the call."""
        return _mapped(self.refer(method, *args), self.name)

    def refer(self, method: str, *args: object, returns: int = 1) -> Any:
        """Send the call and do not bring its result here (see `RayLine.send`)."""
        return self._line.send(f"{self._served}.{method}", args, returns=returns)

    def close(self) -> None:
        """End the actor, other objects of it included."""
        self._line.kill()


class RayCluster:
    """A connection to Ray, and the seats taken there.

    Args:
        address: Of a running Ray; empty starts one on this machine alone.
        placement_seconds: How long seats may take to be had.
        cpus: What a Ray that is started here says it has.

    Raises:
        ClusterError: nobody is at that address.
    """

    def __init__(self, *, address: str, placement_seconds: float, cpus: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_worker_niceness", "0")  # else actors yield to everything, and they are the run
        self._patience = placement_seconds
        self._group: PlacementGroup | None = None
        self._seats: list[Seat] = []
        self._catalogue = Catalogue(ray.put, carried=(ray.ObjectRef,))
        self._lines: list[RayLine] = []
        try:
            if address:
                ray.init(address=address, log_to_driver=False, configure_logging=False)
            else:
                ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"no Ray answers at cluster.address={address!r}: {error}; start one there (ray start --head) or leave "
                "the address empty to use this machine alone"
            ) from error

    def take(self, seats: Sequence[Seat]) -> list[RayLine]:
        """A process on every seat.

        Raises:
            ClusterError: they cannot all be had.
        """
        self._seats = list(seats)
        self._group = placement_group([seat.bundle for seat in seats], strategy="PACK")
        if not self._group.wait(self._patience):
            remove_placement_group(self._group)
            raise ClusterError(_no_room(seats, self._patience))
        self._lines = [self._sit(place) for place in range(len(seats))]
        return self._lines

    def retake(self, place: int) -> RayLine:
        """Another process on a seat whose own is dead or hangs.

        Raises:
            RankLostError: it cannot be had: its node is gone.
        """
        self._lines[place].kill()
        line = self._lines[place] = self._sit(place)
        line.address(self._patience)  # answers once it runs
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
        if _answer(last, sources[0].name, patience):
            return chunks


def _no_room(seats: Sequence[Seat], seconds: float) -> str:
    """Which seats could not be had, and what there is."""
    asked = ", ".join(f"{seat.name} ({_amounts(seat.bundle)})" for seat in seats)
    total = {kind: sum(seat.bundle.get(kind, 0) for seat in seats) for kind in ("CPU", "GPU")}
    there = {kind: ray.cluster_resources().get(kind, 0) for kind in ("CPU", "GPU")}
    free = {kind: ray.available_resources().get(kind, 0) for kind in ("CPU", "GPU")}
    return (
        f"the cluster has no room for {len(seats)} processes after cluster.placement_seconds={seconds:g}: {asked}; "
        f"{_amounts(total)} in all, of {_amounts(there)} there and {_amounts(free)} free. Ask for fewer "
        "(cluster.ranks, engine.replicas, engine.tensor_parallel), add nodes, or wait longer"
    )


def _amounts(bundle: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {kind}" for kind, amount in bundle.items())


def _mapped(reference: Any, name: str) -> Future[Any]:
    """A future of the value behind a reference, with our errors in place of Ray's."""
    mapped: Future[Any] = Future()

    def settle(done: Future[Any]) -> None:
        error = done.exception()
        if error is None:
            mapped.set_result(done.result())
        else:
            mapped.set_exception(_translated(error, name))

    reference.future().add_done_callback(settle)
    return mapped


def _answer(reference: Any, name: str, patience: float) -> Any:
    """The value behind a reference, with our errors in place of Ray's."""
    try:
        return ray.get(reference, timeout=patience)
    except GetTimeoutError as error:
        raise RankLostError(f"{name} did not start within cluster.placement_seconds={patience:g}") from error
    except RayError as error:
        raise _translated(error, name) from error


def _translated(error: BaseException, name: str) -> BaseException:
    if isinstance(error, RayTaskError):
        return error.cause
    if isinstance(error, RayError):
        return RankLostError(f"{name} is gone: {str(error).strip().splitlines()[0]}")
    return error
