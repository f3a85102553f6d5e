"""Bytes on a connection to `watch`."""

import io
from typing import Any

from fuzz.fenced import FOLDER
from rethinker.report.reading import RunReader
from rethinker.report.watching import LiveRun, _Handler

RUN = FOLDER / "watched"
RUN.mkdir(exist_ok=True)
(RUN / "config.yaml").write_text("seed: 0\n")
(RUN / "metrics.jsonl").write_text('{"step": 1}\n')
TOKEN = "a-token-of-the-fuzzer"
SEEDS = (
    b"GET /changes?token=a-token-of-the-fuzzer&after=1&mark=x&seen=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /changes?after=99999999999999999999 HTTP/1.0\r\nAuthorization: Bearer a-token-of-the-fuzzer\r\n\r\n",
    b"GET //[?token=a HTTP/1.1\r\n\r\n",
    b"GET /../../etc/passwd?token=a-token-of-the-fuzzer HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
    b"GET /%00?token=%ff HTTP/1.1\r\nAuthorization: Bearer \xff\r\nExpect: 100-continue\r\n\r\n",
    b"GET /changes?after=1_0&token=a-token-of-the-fuzzer HTTP/0.9\r\n\r\n",
)


class _Server:
    live = LiveRun(RunReader(RUN))
    token = TOKEN
    server_name, server_port = "127.0.0.1", 80


class _Connection:
    def __init__(self, sent: bytes) -> None:
        self._sent = io.BytesIO(sent)
        self.told = bytearray()

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        return self._sent

    def sendall(self, data: bytes) -> None:
        self.told += data

    def settimeout(self, _: float) -> None:
        """Nothing waits here."""

    def recv_into(self, into: Any) -> int:
        data = self._sent.read(len(into))
        into[: len(data)] = data
        return len(data)


def check(data: bytes) -> None:
    if TOKEN.encode() in data and data.startswith(b"GET /?"):
        return  # the whole page, which the target `run_folder` tries
    connection = _Connection(data)
    _Handler(connection, ("127.0.0.1", 9), _Server())  # type: ignore[arg-type]
    told = bytes(connection.told)
    assert b"HTTP/1.0 500" not in told
    if b"a-token-of-the-fuzzer" not in data and b"%" not in data:
        assert b" 200 " not in told[:20]
