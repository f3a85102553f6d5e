"""What comes over sockets to `watch`: nobody sees anything without the token, and nobody holds others up."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from rethinker.report import watching
from rethinker.report.watching import Watch, open_server

TOKEN = "a-token-of-the-tests"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Watch]:
    monkeypatch.setattr(watching, "HEAD_S", 1.0)
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 1e999}\n')
    with open_server(tmp_path, host="127.0.0.1", port=0, token=TOKEN) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
    assert "Traceback" not in capfd.readouterr().err


def connect(served: Watch) -> socket.socket:
    return socket.create_connection(served.server_address[:2], timeout=120)


def everything(connection: socket.socket) -> bytes:
    told = bytearray()
    try:
        while part := connection.recv(65536):
            told += part
    except ConnectionResetError:
        pass
    return bytes(told)


def told(served: Watch, path: str, *heads: str) -> bytes:
    with connect(served) as connection:
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *heads]
        connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
        return everything(connection)


def hung_up_on(slow: socket.socket) -> bool:
    """Whether the other end goes while a byte is sent every now and then."""
    for _ in range(100_000):
        try:
            slow.sendall(b"G")
        except OSError:
            return True
        time.sleep(0.05)
    return False


def answers(served: Watch) -> bool:
    return told(served, f"/changes?token={TOKEN}").startswith(b"HTTP/1.0 200")


@pytest.mark.parametrize(
    "given", ["", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xff", "Basic abc"]
)
def test_another_token_is_none(served: Watch, given: str) -> None:
    assert told(served, "/changes", f"Authorization: {given}").startswith(b"HTTP/1.0 403")


@pytest.mark.parametrize(
    "path", ["/../config.yaml", "/%2e%2e/config.yaml", "//etc/passwd", "/config.yaml", "/%00", "/metrics.jsonl"]
)
def test_no_path_leads_to_a_file(served: Watch, path: str) -> None:
    answer = told(served, path, f"Authorization: Bearer {TOKEN}")
    assert answer.startswith(b"HTTP/1.0 404")
    assert b"seed" not in answer


def test_what_is_no_address_or_no_number_is_refused(served: Watch) -> None:
    assert told(served, "http://[/", f"Authorization: Bearer {TOKEN}").startswith(b"HTTP/1.0 400")
    assert told(served, f"/changes?after={'9' * 5000}&token={TOKEN}").startswith(b"HTTP/1.0 400")
    assert told(served, "/" + "a" * 70_000).startswith(b"HTTP/1.0 414")


def test_a_page_of_another_origin_has_no_token_and_gets_nothing(served: Watch) -> None:
    answer = told(served, "/", "Host: evil.example", "Origin: https://evil.example")
    assert answer.startswith(b"HTTP/1.0 403")
    assert b"Access-Control" not in told(served, f"/?token={TOKEN}", "Origin: https://evil.example")


def test_numbers_that_are_not_finite_leave_the_news_json(served: Watch) -> None:
    answer = told(served, f"/changes?after=0&mark=&token={TOKEN}")
    assert b"Infinity" not in answer
    assert b"NaN" not in answer


def test_a_head_that_comes_byte_by_byte_is_hung_up_on(served: Watch) -> None:
    with connect(served) as slow:
        assert hung_up_on(slow)
    assert answers(served)


def test_a_half_closed_connection_is_answered_and_ended(served: Watch) -> None:
    with connect(served) as half:
        half.sendall(f"GET /changes?token={TOKEN} HTTP/1.1\r\n\r\n".encode())
        half.shutdown(socket.SHUT_WR)
        assert everything(half).startswith(b"HTTP/1.0 200")


def test_a_thousand_connections_leave_it_responsive_and_its_memory_small(
    served: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HEAD_S", 120.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    before = psutil.Process().memory_info().rss
    try:
        with ExitStack() as held:
            many = [held.enter_context(connect(served)) for _ in range(1000)]
            assert answers(served)
            for each in many:
                each.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert {everything(each)[:12] for each in many} == {b"HTTP/1.0 403"}
            assert psutil.Process().memory_info().rss - before < 200_000_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert answers(served)


def test_more_connections_than_may_be_are_closed_and_the_others_answered(
    served: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "_open", threading.BoundedSemaphore(3))
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(connect(served)).sendall(b"GET")
        with connect(served) as fourth:
            assert everything(fourth) == b""
    while not told(served, f"/changes?token={TOKEN}"):
        time.sleep(0.05)
