"""Calling another process's methods by name. How the calls travel is the transport's business; here nothing travels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from operator import methodcaller
from typing import Any


class Peer(ABC):
    """An object in another process. Calls to one peer run in the order in which they were made."""

    @abstractmethod
    def call(self, method: str, *args: object) -> Future[Any]:
        """Call a method by name; what it returns or raises is the future's."""

    @abstractmethod
    def close(self) -> None:
        """Let the other side go."""


class LocalPeer(Peer):
    """An object of this process, called on a thread of its own."""

    def __init__(self, target: object) -> None:
        self._target = target
        self._thread = ThreadPoolExecutor(max_workers=1)

    def call(self, method: str, *args: object) -> Future[Any]:
        """Call it when the calls before have ended."""
        return self._thread.submit(methodcaller(method, *args), self._target)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
