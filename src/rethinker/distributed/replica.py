"""An engine replica: one engine in a process of its own, which the driver asks for samples over a line.

A call per token would cost more than the token: `collect` goes on sampling for a moment and brings what finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rethinker.distributed.chunks import Chunk, unchunked
from rethinker.interfaces import Request, RolloutEngine
from rethinker.types import Completion

_MOMENT = 0.05
"""Seconds after which finished samples are handed over, so that they can be verified while the rest still samples."""


class EngineReplica:
    """Serves one engine.

    Args:
        engine: Takes weights by copying them.
        fetch: Gets a chunk of weights from what stands for it.
    """

    def __init__(self, engine: RolloutEngine, *, fetch: Callable[[Any], Chunk] = lambda chunk: chunk) -> None:
        self._engine = engine
        self._fetch = fetch

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        self._engine.submit(requests)

    def collect(self) -> list[Completion]:
        """What finished within a moment, or the first to finish after it; empty where nothing is pending."""
        finished: list[Completion] = []
        began = time.monotonic()
        while self._engine.pending and not (finished and time.monotonic() - began > _MOMENT):
            finished += self._engine.step()
        return finished

    def cancel(self, request_id: str) -> None:
        """Forget a request."""
        self._engine.cancel(request_id)

    def sleep(self) -> None:
        """Give back what can be had again at the next sync."""
        self._engine.sleep()

    def load_weights(self, chunks: Sequence[object], version: int) -> None:
        """Take weights, a chunk at a time; nothing may be pending."""
        self._engine.load_weights(unchunked(map(self._fetch, chunks)), version)

    def close(self) -> None:
        """Free what the engine holds."""
        self._engine.close()
