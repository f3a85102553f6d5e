"""Serving an application on an address until a signal: connections bounded, answers under way finished first."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from rethinker.errors import ConfigError
from rethinker.open_files import allow_open_files

HEAD_S = 15.0
"""A connection that has sent no whole head of a request by then is closed; one that was answered before, at the latest
after twice that."""

SWEEP_S = 0.25
"""How often idle connections are looked for while the server ends."""

SWITCH_S = 0.0002
"""How long a thread of Python may hold up the others: those that read pictures, the one that all connections have. The
usual 5 ms add up at each of its turns."""

CONNECTIONS = 1024
"""More are answered with status 503 at once."""


class _Protocol(H11Protocol):
    """Lets nobody hold a connection without asking something."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEAD_S, self._close_silent, None)

    def _close_silent(self, before: RequestResponseCycle | None) -> None:
        """Look every so often whether there is another request than at the last look, or one being answered."""
        if self.cycle is before:
            self.close_idle()
        if not self.transport.is_closing():
            self.loop.call_later(HEAD_S, self._close_silent, self.cycle)

    def send_400_response(self, msg: str) -> None:
        """End what is no HTTP any more. A request that was begun with it hears that nobody listens, or its answer would
        be one too many."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def close_idle(self) -> None:
        """Close, unless an answer is under way."""
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()

    def close_unasked(self) -> None:
        """Close, unless a whole request is here that is being answered."""
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self.transport.close()
        self.close_idle()


class _Server(uvicorn.Server):
    """Ends by a signal as it ends otherwise; a second signal ends it at once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Obey, and do not raise them again once all is closed."""
        before = {each: signal.signal(each, self._heard) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is being answered; who has not asked yet, or only half, is not waited for."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            await super().shutdown(sockets)
        finally:
            sweeping.cancel()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for each in list(self.server_state.connections):
                if isinstance(each, _Protocol):
                    each.close_unasked()

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.force_exit, self.should_exit = self.should_exit, True


def opened_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: the address cannot be had.
    """
    if not 0 <= port < 65_536:  # which the system would take for another
        raise ConfigError(f"cannot listen on port {port}: it must be from 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error}; choose another --host or --port") from error
    return made


def serve_until_stopped(
    application: ASGIApp, listening: socket.socket, *, drain_seconds: float, ready: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM, then finish the answers under way, for so long."""
    config = uvicorn.Config(
        application,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )
    server = _Server(config)

    async def run() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            ready()
        await serving

    sys.setswitchinterval(SWITCH_S)
    allow_open_files(4 * CONNECTIONS)
    asyncio.run(run())
