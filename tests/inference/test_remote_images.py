"""Pictures from addresses that a client named: nothing that is not public is asked, and nobody keeps the server."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from rethinker.inference import remote_images
from rethinker.inference.images import ImageBounds, from_address
from rethinker.inference.refused import Refused
from rethinker.inference.remote_images import fetched

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A host of the internet that sends, a part every moment, what it is given; empty parts are repeated for ever."""
    parts: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        connect = socket.create_connection
        monkeypatch.setattr(remote_images, "public_address", lambda host, port: "127.0.0.1")
        monkeypatch.setattr(socket, "create_connection", lambda _, seconds: connect(("127.0.0.1", port), seconds))
        threading.Thread(target=answer, args=(listening, parts), daemon=True).start()
        yield parts


def answer(listening: socket.socket, parts: list[bytes]) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        try:
            for part in parts:
                connection.sendall(part)
            while parts[-1] == b"":
                connection.sendall(b"x")
                time.sleep(0.02)
        except OSError:
            return


@pytest.mark.parametrize("parts", [[b"HTTP/1.1 200 OK\r\nX: ", b""], [HEAD, b""]])
def test_a_host_that_sends_byte_by_byte_is_cut_off(host: list[bytes], parts: list[bytes]) -> None:
    host += parts
    with pytest.raises(Refused, match=r"cannot be fetched|takes too long"):
        fetched("http://example.org/a.png", most=1_000_000, seconds=0.5)


def test_more_than_a_picture_may_be_is_not_read_on(host: list[bytes]) -> None:
    host += [b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 5000]
    with pytest.raises(Refused, match="more than the 1,000 bytes"):
        fetched("http://example.org/a.png", most=1000, seconds=60)


def test_a_redirect_is_not_followed(host: list[bytes]) -> None:
    host += [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"]
    with pytest.raises(Refused, match="redirects are not followed"):
        fetched("http://example.org/a.png", most=1000, seconds=60)


def test_nothing_is_fetched_unless_the_operator_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    with pytest.raises(Refused, match="fetches no images"):
        from_address("https://example.org/a.png", ImageBounds())


@pytest.mark.parametrize(
    "address",
    [
        "http://a\0b/",
        "http://[::1",
        "http://x:99999/",
        "http://u@example.org/",
        "http://example.org:8080/",
        "http:///a",
    ],
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Refused):
        fetched(address, most=1000, seconds=1)
