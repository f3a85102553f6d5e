"""The one thread that touches engine and model, and the way to it from an event loop.

Requests are taken in the order they come and decode together; whoever waits gets tokens as they are sampled, and one
who stops waiting takes his request out of the engine. Between two steps the thread does what else needs the model.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

from rethinker.errors import RethinkerError
from rethinker.interfaces import Request, RolloutEngine
from rethinker.types import Completion

FLUSH_S = 0.04
"""Tokens are handed over this often: nobody reads faster, and each hand-over takes the engine's time."""

GATHER_S = 0.03
"""While others decode, a request waits this long for company: prompts that are read together cost far less."""

Result = TypeVar("Result")
Item = tuple[int, ...] | Completion | RethinkerError


class EngineStopped(RethinkerError):  # noqa: N818 (what happened to the engine)
    """The engine failed, or was closed."""


class EngineThread:
    """Serves one event loop; `start` it inside.

    Args:
        engine: Used by the thread alone from `start` on; closed with it.
    """

    def __init__(self, engine: RolloutEngine) -> None:
        self._engine = engine
        self._commands: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._inboxes: dict[str, asyncio.Queue[Item]] = {}
        self._gathered: list[tuple[Request, bool]] = []
        self._gathering_since = 0.0
        self._told: set[str] = set()
        self._grown: dict[str, list[int]] = {}
        self._flushed = 0.0
        self._thread = threading.Thread(target=self._run, name="engine")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed = False
        self.tokens = 0
        """Sampled so far, of all requests."""

    @property
    def alive(self) -> bool:
        """Whether requests can be served."""
        return self._thread.is_alive() and not self._failed

    def start(self) -> None:
        """Begin to serve the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Stop after the present step; the engine is closed."""
        if self._thread.is_alive():
            self._commands.put(None)
            await asyncio.to_thread(self._thread.join)

    # ---- in the event loop ----

    async def sample(self, request: Request, *, told: bool) -> AsyncGenerator[tuple[int, ...] | Completion, None]:
        """Submit a request of one sample: tokens as they come, where `told`, and in the end the completion.

        Left early, the request is cancelled in the engine.

        Raises:
            RethinkerError: the engine refuses the request, or stopped.
        """
        inbox: asyncio.Queue[Item] = asyncio.Queue()
        self._inboxes[request.id] = inbox
        self._order(partial(self._submit, request, told))
        ended = False
        try:
            while not ended:
                item = await inbox.get()
                ended = not isinstance(item, tuple)
                if isinstance(item, RethinkerError):
                    raise item
                yield item
        finally:
            del self._inboxes[request.id]
            if not ended:
                self._commands.put(partial(self._cancel, request.id))

    async def call(self, function: Callable[[], Result]) -> Result:
        """Run a function between two steps, for what touches the model.

        Raises:
            RethinkerError: the function's own, or the engine stopped.
        """
        done: asyncio.Queue[tuple[Result] | RethinkerError] = asyncio.Queue()
        self._order(partial(self._call, function, done))
        outcome = await done.get()
        if isinstance(outcome, RethinkerError):
            raise outcome
        return outcome[0]

    def _order(self, command: Callable[[], None]) -> None:
        if not self.alive:
            raise EngineStopped("the engine has stopped; see the log, and start the server again")
        self._commands.put(command)

    def _deliver(self, items: list[tuple[str, Item]]) -> None:
        for name, item in items:
            if name in self._inboxes:
                self._inboxes[name].put_nowait(item)

    def _stopped(self) -> None:
        """Nobody waits for what will never come."""
        for inbox in self._inboxes.values():
            inbox.put_nowait(EngineStopped("the engine stopped before the answer was whole"))

    # ---- in the thread ----

    def _run(self) -> None:
        try:
            while self._obey():
                self._admit()
                self._advance()
        except BaseException:
            self._failed = True
            raise
        finally:
            self._engine.close()
            self._tell(self._stopped)

    def _obey(self) -> bool:
        """Do what was ordered; with nothing to decode, wait for it. False when it is to end."""
        while True:
            try:
                command = self._commands.get(block=not self._engine.pending and not self._gathered)
            except Empty:
                return True
            if command is None:
                return False
            command()

    def _advance(self) -> None:
        completions = self._engine.step()
        if self._told:
            for piece in self._engine.pieces():
                if piece.request_id in self._told:
                    self._grown.setdefault(piece.request_id, []).extend(piece.token_ids)
        now = time.monotonic()
        if completions or (self._grown and now - self._flushed > FLUSH_S):
            self._flushed = now
            self.tokens += sum(len(each.token_ids) for each in completions)
            grown: list[tuple[str, Item]] = [(name, tuple(ids)) for name, ids in self._grown.items()]
            self._grown.clear()
            self._told.difference_update(each.request_id for each in completions)
            self._tell(partial(self._deliver, grown + [(each.request_id, each) for each in completions]))

    def _submit(self, request: Request, told: bool) -> None:
        if not self._gathered:
            self._gathering_since = time.monotonic()
        self._gathered.append((request, told))

    def _admit(self) -> None:
        """Give the engine what was gathered, in the order it came, unless more may come soon."""
        if self._engine.pending and time.monotonic() - self._gathering_since < GATHER_S:
            return
        for request, told in self._gathered:
            try:
                self._engine.submit([request])
            except RethinkerError as error:
                self._tell(partial(self._deliver, [(request.id, error)]))
                continue
            if told:
                self._told.add(request.id)
        self._gathered.clear()

    def _cancel(self, name: str) -> None:
        self._gathered = [each for each in self._gathered if each[0].id != name]
        self._engine.cancel(name)
        self._told.discard(name)
        self._grown.pop(name, None)

    def _call(self, function: Callable[[], Result], done: asyncio.Queue[tuple[Result] | RethinkerError]) -> None:
        outcome: tuple[Result] | RethinkerError
        try:
            outcome = (function(),)
        except RethinkerError as error:
            outcome = error
        self._tell(partial(done.put_nowait, outcome))

    def _tell(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call)
