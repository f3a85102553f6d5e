"""What clients do that mean no good, or have lost their way: the server answers others all the same."""

import base64
import json
import socket
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from struct import pack

from tests.inference.conftest import TOKEN, Server

LONG = {"messages": [{"role": "user", "content": "How much is 3 + 4?"}], "max_tokens": 300, "temperature": 2.0}


def head(path: str, *, length: int) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {TOKEN}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def eventually(holds: Callable[[], bool], *, patience: float = 120.0) -> bool:
    until = time.monotonic() + patience
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)
    return holds()


def chunk(kind: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A small file of a PNG that claims to be large."""
    rows = zlib.compress(bytes(1_000_000))
    header = pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_client_that_stops_in_the_middle_of_its_body_holds_nothing(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(head("/v1/chat/completions", length=1000) + b'{"messages": [')
        assert server.complete()[0] == 200
    assert server.ask("GET", "/health")[0] == 200


def test_a_half_closed_connection_is_ended_and_its_work_with_it(server: Server) -> None:
    body = json.dumps(LONG | {"n": 8}).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        half.settimeout(120)
        half.sendall(head("/v1/chat/completions", length=len(body)) + body)
        half.shutdown(socket.SHUT_WR)
        while half.recv(65536):
            pass
    assert eventually(lambda: server.metric("rethinker_choices_waiting") == 0)
    assert server.complete()[0] == 200


def test_many_idle_connections_keep_nobody_out(server: Server) -> None:
    with ExitStack() as held:
        for _ in range(500):
            held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert server.complete()[0] == 200
    assert server.complete()[0] == 200


def test_a_picture_that_would_unpack_to_gigabytes_is_refused_by_its_head(server: Server) -> None:
    url = f"data:image/png;base64,{base64.b64encode(bomb(60_000, 60_000)).decode()}"
    status, told = server.complete(
        messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    )
    assert (status, told["error"]["code"]) == (400, "invalid_image")


def test_no_body_of_noise_brings_the_server_down(server: Server) -> None:
    noise = (b"", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"messages": 1e999}', b'{"a":' * 5_000, b'"' * 900_000)
    statuses = {server.ask("POST", "/v1/chat/completions", body)[0] for body in noise}
    assert statuses == {400}
    assert server.complete()[0] == 200


def test_what_is_no_http_is_answered_and_closed(server: Server) -> None:
    for sent in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as lost:
            lost.settimeout(120)
            lost.sendall(sent + b"\r\n\r\n")
            while lost.recv(65536):
                pass
    assert server.ask("GET", "/health")[0] == 200
