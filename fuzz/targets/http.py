"""Bytes on a connection to `serve`: HTTP, the guard, the routes, the body; whatever comes, HTTP goes back."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from rethinker.inference.chat import Limits
from rethinker.inference.chat_request import Bounds
from rethinker.inference.images import ImageBounds
from rethinker.inference.listening import _Protocol
from rethinker.inference.metrics import Metrics
from rethinker.inference.refused import Refused
from rethinker.inference.server import application

TOKEN = b"a-token-of-the-fuzzer"
BODY = b'{"messages": [{"role": "user", "content": "hi"}]}'


def request(first: bytes, *heads: bytes, body: bytes = b"", token: bytes = TOKEN) -> bytes:
    lines = [first, b"Host: h", b"Authorization: Bearer " + token, *heads]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


JSON = b"Content-Type: application/json"
SEEDS = (
    request(b"GET / HTTP/1.1"),
    request(b"GET /v1/models HTTP/1.1") + request(b"GET /v1/models/../%2e%2e/\x00 HTTP/1.1", b"Origin: http://h"),
    request(b"POST /v1/chat/completions HTTP/1.1", JSON, b"Content-Length: %d" % len(BODY), body=BODY),
    request(b"POST /v1/chat/completions HTTP/1.1", JSON, b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"),
    request(b"GET /metrics HTTP/1.1", b"Origin: http://[", token=b"wrong"),
    request(b"GET /page.css HTTP/1.0", b"Connection: upgrade", b"Upgrade: websocket", b"Range: bytes=0-9,20-"),
    request(b"POST /v1/chat/completions HTTP/1.1", JSON, b"Content-Length: 99999999999", b"Expect: 100-continue"),
    b"\x16\x03\x01\x02\x00\x01",
    b"GET / HTTP/9.9\r\n\r\n",
)


class _Chat:
    model = "m"
    limits = Limits(
        request=Bounds(tokens=9, choices=2, images=1, looks=1), image=ImageBounds(), body_bytes=2000, body_seconds=0.02
    )

    def __init__(self) -> None:
        self.metrics = Metrics()

    async def answer(self, asked: object) -> Any:
        raise Refused("there is no model here", status=503)
        yield asked


class _Engine:
    alive = True

    def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to end."""


class _Wire(asyncio.Transport):
    """A connection whose other end keeps what it is told."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 9)})
        self.told = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.told += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """There is no more to read than was given."""

    def resume_reading(self) -> None:
        """As above."""

    def set_protocol(self, protocol: object) -> None:
        raise AssertionError("another protocol was agreed on")


class _Silent:
    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


LOOP = asyncio.new_event_loop()
FAULTS: list[BaseException] = []
CONFIG = uvicorn.Config(
    application(_Chat(), _Engine(), token=TOKEN.decode()),  # type: ignore[arg-type]
    http=_Protocol, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
    proxy_headers=False,
)  # fmt: skip
CONFIG.load()
LOGGED: list[str] = []


def _keep_errors() -> None:
    import logging

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            LOGGED.append(self.format(record))

    logger = logging.getLogger("uvicorn.error")
    logger.propagate = False
    logger.handlers = [Kept(level=logging.ERROR)]


_keep_errors()


def check(data: bytes) -> None:
    if not data:
        return  # nothing comes from no connection
    LOGGED.clear()
    told = LOOP.run_until_complete(_sent(data))
    assert not LOGGED, LOGGED[0][-1500:]
    assert told == b"" or told.startswith(b"HTTP/1."), told[:80]
    assert b"HTTP/1.1 500" not in told


async def _sent(data: bytes) -> bytes:
    state = ServerState()
    protocol = _Protocol(config=CONFIG, server_state=state, app_state={}, _loop=LOOP)
    wire = _Wire()
    protocol.connection_made(wire)
    protocol.data_received(data)
    for _ in range(3):
        await asyncio.sleep(0)
    if not wire.closed:
        protocol.eof_received()
        protocol.connection_lost(None)
    while state.tasks:
        await asyncio.wait(set(state.tasks))
    return bytes(wire.told)
