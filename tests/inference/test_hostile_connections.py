"""What comes over sockets to `serve`, tried on the real server without a model: nobody is kept waiting for it."""

import gzip
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import psutil
import pytest

TOKEN = "a-token-of-the-tests"
SECONDS = 1.5
ASK = {"messages": [{"role": "user", "content": "hi"}]}


@dataclass(frozen=True)
class Server:
    port: int
    process: subprocess.Popen[str]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=120)

    def tell(self, sent: bytes) -> bytes:
        """All that comes back until the server hangs up."""
        with self.connect() as connection:
            connection.sendall(sent)
            return everything(connection)

    def status(self, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        told = self.tell(request(method, path, body, **headers))
        assert told.startswith(b"HTTP/1.1 "), told[:200]
        return int(told.split(b" ", 2)[1])

    def answers(self) -> bool:
        return self.status("GET", "/health") == 200


def everything(connection: socket.socket) -> bytes:
    told = bytearray()
    try:
        while part := connection.recv(65536):
            told += part
    except ConnectionResetError:
        pass
    return bytes(told)


def hung_up_on(slow: socket.socket) -> bool:
    """Whether the other end goes while a byte is sent every now and then."""
    for _ in range(100_000):
        try:
            slow.sendall(b"G")
        except OSError:
            return True
        time.sleep(0.05)
    return False


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    sent = {"Host": "127.0.0.1", "Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    sent |= {"Content-Length": str(len(body)), "Connection": "close"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items() if value)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def started(token: str) -> Server:
    command = [sys.executable, "-m", "tests.inference.without_model", token, str(SECONDS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Server(port=int(process.stdout.readline()), process=process)


def ended(server: Server) -> None:
    server.process.terminate()
    said = server.process.communicate(timeout=120)[1]
    assert "Traceback" not in said, said[-3000:]
    assert server.process.returncode == 0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = started(TOKEN)
    yield made
    ended(made)


@pytest.fixture(scope="module")
def open_server() -> Iterator[Server]:
    """For this machine alone, without a token."""
    made = started("-")
    yield made
    ended(made)


def test_a_head_that_never_ends_is_hung_up_on(server: Server) -> None:
    with server.connect() as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        assert everything(slow) == b""


def test_a_connection_that_was_answered_may_not_dawdle_over_its_next_request(server: Server) -> None:
    with server.connect() as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in slow.recv(65536)
        assert hung_up_on(slow)
    assert server.answers()


def test_a_body_that_comes_byte_by_byte_is_refused_in_time(server: Server) -> None:
    with server.connect() as slow:
        slow.sendall(request("POST", "/v1/chat/completions", Content_Length="5000"))
        slow.settimeout(0.05)
        told = b""
        while b"\r\n\r\n" not in told:
            slow.sendall(b" ")
            try:
                told += slow.recv(65536)
            except TimeoutError:
                continue
    assert b" 408 " in told


def test_a_thousand_connections_leave_it_responsive_and_its_memory_small(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    try:
        with ExitStack() as held:
            many = [held.enter_context(server.connect()) for _ in range(1000)]
            assert server.answers()
            for each in many:
                each.sendall(request("GET", "/v1/models", Authorization="Bearer wrong"))
            statuses = [everything(each)[:12] for each in many]
            assert server.answers()
            assert process.memory_info().rss - before < 100_000_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # Who waited longer than a head may take is hung up on; nobody gets another answer than his.
    assert set(statuses) <= {b"HTTP/1.1 401", b""}


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/page.js%00.html",
        "/%00",
        "/page.js/",
        "http://127.0.0.1/etc/passwd",
        "/assets/serve/index.html",
        "/v1/models/..%2f..%2f..%2fetc%2fpasswd",
    ],
)
def test_no_path_leads_to_a_file(server: Server, path: str) -> None:
    told = server.tell(request("GET", path))
    assert told.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.1 307"))
    assert b"root:" not in told


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"--x\r\nContent-Disposition: form-data", {"Content_Type": "multipart/form-data; boundary=x"}, 415),
        (b"--", {"Content_Type": "multipart/form-data"}, 415),
        (gzip.compress(bytes(50_000_000)), {"Content_Encoding": "gzip"}, 400),
        (b'{"messages": ' + b"[" * 40_000, {}, 400),
        (b'{"temperature": ' + b"9" * 400 + b', "messages": [{"role": "user", "content": "hi"}]}', {}, 400),
        (b"\xff" * 1000, {}, 400),
        (json.dumps(ASK).encode("utf-16"), {}, 503),
        (b" " * 100_001, {}, 413),
        (b"", {"Content_Length": "18446744073709551616"}, 413),
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_is_refused_by_its_status(
    server: Server, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert server.status("POST", "/v1/chat/completions", body, **headers) == status


def test_a_body_that_stops_being_http_ends_its_connection_alone(server: Server) -> None:
    head = request("POST", "/v1/chat/completions", Content_Length="", Transfer_Encoding="chunked", Connection="")
    assert server.tell(head + b"1{}\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400")
    refused = head.replace(TOKEN.encode(), b"wrong")
    assert server.tell(refused + b"zz\r\n").startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
    assert server.answers()


@pytest.mark.parametrize("origin", ["http://[", "null", "https://evil.example", "http://127.0.0.1.evil.example"])
def test_no_other_origin_is_answered(server: Server, open_server: Server, origin: str) -> None:
    assert server.status("GET", "/v1/models", Origin=origin) == 403
    assert open_server.status("GET", "/v1/models", Origin=origin) == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[", "", "127.0.0.1@evil.example"])
def test_a_name_that_was_bound_to_this_machine_is_refused(open_server: Server, host: str) -> None:
    sent = request("GET", "/v1/models", Host=host) if host else b"GET /v1/models HTTP/1.0\r\n\r\n"
    assert open_server.tell(sent).startswith(b"HTTP/1.1 403")
    assert open_server.status("GET", "/v1/models") == 200


def test_a_half_closed_connection_gets_its_answer_or_none(server: Server) -> None:
    with server.connect() as half:
        half.sendall(request("GET", "/health"))
        half.shutdown(socket.SHUT_WR)
        assert everything(half)[:12] in (b"HTTP/1.1 200", b"")
    assert server.answers()
