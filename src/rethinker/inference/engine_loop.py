"""The engine's process: obeys what comes over its line, and between orders samples for all who asked.

Requests are taken in the order they come and decode together; whoever wants to be told gets tokens as they are sampled,
and a request that is cancelled leaves the engine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import assert_never

from rethinker.distributed.host import portable
from rethinker.errors import RethinkerError
from rethinker.inference.line import Ask, Cancel, Close, Forget, Item, Line, Load, Order, Show
from rethinker.interfaces import RolloutEngine
from rethinker.models.vlm import VLM
from rethinker.types import Completion, Prompt

FLUSH_S = 0.04
"""Tokens are handed over this often: nobody reads faster, and each hand-over takes the engine's time."""

GATHER_S = 0.03
"""While others decode, a request waits this long for company: prompts that are read together cost far less."""

COMPANY = 8
"""So many wait for no more: a forward over them costs little more for each than one over all."""


class EngineLoop:
    """Serves one line.

    Args:
        vlm: The engine's, which keeps what was prepared of prompts.
    """

    def __init__(self, vlm: VLM, engine: RolloutEngine, line: Line) -> None:
        self._vlm = vlm
        self._engine = engine
        self._line = line
        self._prompts: dict[str, Prompt] = {}
        self._gathered: list[Ask] = []
        self._gathering_since = 0.0
        self._told: set[str] = set()
        self._grown: dict[str, list[int]] = {}
        self._flushed = 0.0

    def run(self) -> None:
        """Serve until it is told to close, or nobody is there any more."""
        with suppress(EOFError, ConnectionError):
            while self._obey():
                self._admit()
                self._hand_over(self._engine.step())
        self._engine.close()

    def _obey(self) -> bool:
        """Do what was ordered; with nothing to decode, wait for it. False when it is to end."""
        while self._line.waits() or not (self._engine.pending or self._gathered):
            order: Order = self._line.receive()
            match order:
                case Show():
                    self._prompts[order.prompt.problem_id] = order.prompt
                    self._vlm.adopt(order.prompt, order.prepared())
                case Forget():
                    self._prompts.pop(order.problem_id, None)
                case Ask():
                    self._gather(order)
                case Cancel():
                    self._cancel(order.request_id)
                case Close() | Load():
                    return False
                case _:
                    assert_never(order)
        return True

    def _gather(self, asked: Ask) -> None:
        if not self._gathered:
            self._gathering_since = time.monotonic()
        self._gathered.append(asked)

    def _admit(self) -> None:
        """Give the engine what was gathered, in the order it came, unless it is little and more may come soon."""
        young = time.monotonic() - self._gathering_since < GATHER_S
        if self._engine.pending and young and len(self._gathered) < COMPANY:
            return
        for asked in self._gathered:
            try:
                self._engine.submit([asked.request(self._prompts[asked.problem_id])])
            except RethinkerError as error:
                self._tell([(asked.id, error)])
                continue
            if asked.told:
                self._told.add(asked.id)
        self._gathered.clear()

    def _hand_over(self, completions: Sequence[Completion]) -> None:
        if self._told:
            for piece in self._engine.pieces():
                if piece.request_id in self._told:
                    self._grown.setdefault(piece.request_id, []).extend(piece.token_ids)
        now = time.monotonic()
        if completions or (self._grown and now - self._flushed > FLUSH_S):
            self._flushed = now
            grown: list[tuple[str, Item]] = [(name, tuple(ids)) for name, ids in self._grown.items()]
            self._grown.clear()
            self._told.difference_update(each.request_id for each in completions)
            self._tell(grown + [(each.request_id, each) for each in completions])

    def _cancel(self, name: str) -> None:
        self._gathered = [each for each in self._gathered if each.id != name]
        self._engine.cancel(name)
        self._told.discard(name)
        self._grown.pop(name, None)

    def _tell(self, news: Sequence[tuple[str, Item]]) -> None:
        self._line.send([(name, _sendable(item)) for name, item in news])


def _sendable(item: Item) -> Item:
    if not isinstance(item, RethinkerError):
        return item
    error = portable(item, where="the engine")
    return error if isinstance(error, RethinkerError) else RethinkerError(str(error))
