"""Peers behind pipes: the ranks of one `torchrun`, which started them, on one machine. Rank 0 is the driver's process.

Messages are pickles between processes of one user on the loopback address, after both ends have shown that they know a
key of this launch: nobody else gets as far as having one read.
"""

from __future__ import annotations

import pickle
import secrets
import threading
from collections import deque
from concurrent.futures import Future
from datetime import timedelta
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from rethinker.distributed.host import Host, portable
from rethinker.distributed.peers import Peer
from rethinker.distributed.shipping import Catalogue, Sender
from rethinker.distributed.stores import Store
from rethinker.errors import RankLostError

_ADDRESS, _KEY = "rethinker/address", "rethinker/key"
_CLOSE = b""


class Pipe:
    """The driver's end of the line to one process; its objects are peers that share it.

    Args:
        rank: Of the process, for people.
    """

    def __init__(self, rank: int, connection: Connection, catalogue: Catalogue) -> None:
        self._rank = rank
        self._connection = connection
        self._sender = Sender(catalogue)
        self._asked: deque[Future[Any]] = deque()
        self._lock = threading.Lock()
        self._lost = False
        self._reader = threading.Thread(target=self._read, name=f"rank {rank}", daemon=True)
        self._reader.start()

    def peer(self, served: str) -> PipePeer:
        """One of the objects over there."""
        return PipePeer(f"{served} {self._rank}", served, self)

    def send(self, target: str, arguments: tuple[object, ...]) -> Future[Any]:
        """Call over there; answers come in the order of the calls."""
        future: Future[Any] = Future()
        with self._lock:
            if self._lost:
                future.set_exception(self._gone())
                return future
            self._asked.append(future)
            try:
                self._connection.send_bytes(pickle.dumps((target, self._sender.pack(arguments))))
            except OSError:
                self._lose()
        return future

    def close(self) -> None:
        """Tell the process to end."""
        with self._lock:
            if not self._lost:
                self._connection.send_bytes(_CLOSE)
        self._reader.join(timeout=10)

    def _read(self) -> None:
        while True:
            try:
                worked, answer = pickle.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                with self._lock:
                    self._lose()
                return
            future = self._asked.popleft()
            if worked:
                future.set_result(answer)
            else:
                future.set_exception(answer)

    def _lose(self) -> None:
        """Nobody answers any more; the lock is held."""
        self._lost = True
        while self._asked:
            self._asked.popleft().set_exception(self._gone())

    def _gone(self) -> RankLostError:
        return RankLostError(f"the process of rank {self._rank} is gone; its own output above says why")


class PipePeer(Peer):
    """An object at the far end of a pipe."""

    def __init__(self, name: str, served: str, pipe: Pipe) -> None:
        self.name = name
        self._served = served
        self._pipe = pipe

    def call(self, method: str, *args: object) -> Future[Any]:
        """Send the call."""
        return self._pipe.send(f"{self._served}.{method}", args)

    def close(self) -> None:
        """End the process at the far end, other objects of it included."""
        self._pipe.close()


def listen(store: Store, *, ranks: int, patience: float) -> dict[int, Pipe]:
    """In rank 0: wait for the other ranks to call; their pipes by rank.

    Args:
        store: The launch's store, where the others find address and key.
        ranks: All of them, this one included.
        patience: Seconds to wait for each.

    Raises:
        RankLostError: a rank did not call.
    """
    key, catalogue = secrets.token_bytes(32), Catalogue()
    with Listener(("127.0.0.1", 0), authkey=key, backlog=ranks) as listener:
        listener._listener._socket.settimeout(patience)  # type: ignore[attr-defined]  # it has no setting for it
        store.set(_KEY, key.hex())
        store.set(_ADDRESS, str(listener.address[1]))
        pipes: dict[int, Pipe] = {}
        while len(pipes) < ranks - 1:
            try:
                connection = listener.accept()
            except TimeoutError:
                missing = sorted(set(range(1, ranks)) - pipes.keys())
                raise RankLostError(f"ranks {missing} did not come within {patience:g} seconds") from None
            rank = int(connection.recv())
            pipes[rank] = Pipe(rank, connection, catalogue)
    return pipes


def serve(store: Store, host: Host, *, rank: int, patience: float) -> None:
    """In every other rank: answer rank 0's calls until it closes, or is gone."""
    store.wait([_ADDRESS], timedelta(seconds=patience))
    key = bytes.fromhex(store.get(_KEY).decode())
    with Client(("127.0.0.1", int(store.get(_ADDRESS))), authkey=key) as connection:
        connection.send(rank)
        while True:
            try:
                message = connection.recv_bytes()
            except EOFError:
                return
            if message == _CLOSE:
                return
            connection.send_bytes(_answer(host, message))


def _answer(host: Host, message: bytes) -> bytes:
    """Pickled: whether it worked, and what was returned or raised."""
    target, shipment = pickle.loads(message)
    try:
        return pickle.dumps((True, host.handle(target, shipment)))
    except Exception as error:  # noqa: BLE001 (whatever it is, the driver is told)
        return pickle.dumps((False, portable(error, where=target)))
