"""One server of the tiny model for all tests of a module, as a user starts it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from io import BytesIO
from typing import Any

import openai
import pytest
from PIL import Image

from rethinker.data.gym.catalogue import GymId, problem

TOKEN = "a-token-of-the-tests"


@dataclass(frozen=True)
class Server:
    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, token: str = TOKEN) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=token, max_retries=0, timeout=120)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            sent = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
            sent |= {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {name: value for name, value in sent.items() if value})
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def complete(self, **fields: Any) -> tuple[int, Any]:
        asked = {"messages": [{"role": "user", "content": "How much is 3 + 4?"}], "max_tokens": 8} | fields
        status, _, body = self.ask("POST", "/v1/chat/completions", json.dumps(asked).encode())
        return status, json.loads(body)

    def metric(self, name: str) -> float:
        text = self.ask("GET", "/metrics")[2].decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def started(*options: str, token: str | None = TOKEN) -> Server:
    environment = {**os.environ, "RETHINKER_TOKEN": token or "", "OMP_NUM_THREADS": "1"}
    if token is None:
        del environment["RETHINKER_TOKEN"]
    process = subprocess.Popen(
        [sys.executable, "-m", "rethinker", "serve", "tiny", "--port", "0", *options],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "answers at" in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return Server(port=int(line.split("/v1")[0].rsplit(":", 1)[1]), process=process)
    raise AssertionError("".join(said))


def ended(server: Server) -> int:
    server.process.send_signal(signal.SIGTERM)
    return server.process.wait(120)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = started("--max-body", "1", "--max-tokens", "300", "--max-pixels", "0.3", "--waiting", "40")
    yield made
    assert ended(made) == 0


@pytest.fixture(scope="session")
def picture() -> bytes:
    pixels = problem(GymId(family="counting", level=1, split="test", index=1)).images[0].pixels
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
