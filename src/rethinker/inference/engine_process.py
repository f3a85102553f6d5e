"""The server's side of an engine in a process of its own, so that neither waits for the other's Python.

Who samples and who reads requests and pictures would share one interpreter's lock, and each wait for the other.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Sequence
from queue import SimpleQueue

from rethinker.errors import RethinkerError
from rethinker.inference.line import Ask, Cancel, Close, Forget, Item, Line, Load, Loaded, Order, Show
from rethinker.interfaces import Request
from rethinker.models.pixels import Prepared
from rethinker.types import Completion, Prompt

ENDING_S = 30.0
"""For the step under way; a process that has not ended by then is killed."""


class EngineStopped(RethinkerError):  # noqa: N818 (what happened to the engine)
    """The engine's process ended, or was closed."""


class EngineProcess:
    """Serves one event loop; `start` it inside, after `wait`.

    Args:
        module: Run as `python -m module DESCRIPTOR`, with one end of a `Line`.
        load: What it is told to load.
    """

    def __init__(self, module: str, load: Load) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", module, str(theirs.fileno())]
        with theirs:
            # Its standard output is not for what libraries print, and its input is not the question's.
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, pass_fds=[theirs.fileno()])
        self._line = Line(ours.detach())
        self._outbox: SimpleQueue[Order] = SimpleQueue()
        self._sender = threading.Thread(target=self._send, name="to the engine", daemon=True)
        self._inboxes: dict[str, asyncio.Queue[Item]] = {}
        self._gone = False
        self._line.send(load)

    def wait(self) -> None:
        """Until the model is loaded.

        Raises:
            RethinkerError: it cannot be.
        """
        try:
            news = self._line.receive()
        except (EOFError, OSError) as error:
            raise EngineStopped("the engine's process ended while it loaded; its own output above says why") from error
        if isinstance(news, RethinkerError):
            raise news
        assert isinstance(news, Loaded)
        self._sender.start()

    def kill(self) -> None:
        """End it at once, whatever it is doing; for who cannot go on himself."""
        self._process.kill()
        self._process.wait()
        self._line.close()

    @property
    def alive(self) -> bool:
        """Whether requests can be served."""
        return not self._gone and self._process.poll() is None

    def start(self) -> None:
        """Begin to serve the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._line.fileno(), self._read)

    async def close(self) -> None:
        """Stop after the present step."""
        if not self._gone:
            self._loop.remove_reader(self._line.fileno())
        self._gone = True
        self._outbox.put(Close())
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._sender.join(ENDING_S)
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._line.close()

    # ---- in the event loop ----

    def show(self, prompt: Prompt, prepared: Prepared) -> None:
        """Send a prompt, for requests to come."""
        self._outbox.put(Show.of(prompt, prepared))

    def forget(self, prompt: Prompt) -> None:
        """There will be no more requests of a prompt."""
        self._outbox.put(Forget(problem_id=prompt.problem_id))

    async def sample(self, request: Request, *, told: bool) -> AsyncGenerator[tuple[int, ...] | Completion, None]:
        """Submit a request of one sample of a prompt that was shown: tokens as they come, where `told`, and in the end
        the completion.

        Left early, the request is cancelled in the engine.

        Raises:
            RethinkerError: the engine refuses the request, or stopped.
        """
        if not self.alive:
            raise EngineStopped("the engine has stopped; see the log, and start the server again")
        inbox: asyncio.Queue[Item] = asyncio.Queue()
        self._inboxes[request.id] = inbox
        self._outbox.put(Ask.of(request, told=told))
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
                self._outbox.put(Cancel(request_id=request.id))

    def _read(self) -> None:
        """There is news; or nobody is there, and nobody must wait for what will never come."""
        try:
            news: Sequence[tuple[str, Item]] = self._line.receive()
        except (EOFError, OSError):
            self._gone = True
            self._loop.remove_reader(self._line.fileno())
            stopped = EngineStopped("the engine stopped before the answer was whole")
            news = [(name, stopped) for name in self._inboxes]
        for name, item in news:
            if name in self._inboxes:
                self._inboxes[name].put_nowait(item)

    # ---- in the sender ----

    def _send(self) -> None:
        """A thread's work: the line takes a large prompt only as fast as the engine, between two steps, reads it."""
        while True:
            order = self._outbox.get()
            try:
                self._line.send(order)
            except OSError:  # it is gone, which `_read` tells
                return
            if isinstance(order, Close):
                return


def line_of(descriptor: int) -> Line:
    """The engine's end, in its process."""
    os.set_inheritable(descriptor, False)
    return Line(descriptor)
