"""Tokens a second of 32 clients of `rethinker serve`, beside the engine's own on the same requests.

    python benchmarks/serving.py --json OUT [--quick] [--repeats N] [--threads N]

Both arms answer the same gym questions with the same model: 32 clients ask one after another until none is left, and
the engine's arm is one call with all of them and as many rows. The tiny model as it is trained gives short answers,
some ten tokens each; untrained it goes on for most of 128, as a model that reasons does. The clients are one thread of
this process, which does little more than wait; the server has processes of its own. The arms run in turn, after one
uncounted round each. Ratios are medians of pairs. Times of the clients are to whole answers.
"""

from __future__ import annotations

import base64
import json
import os
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections import deque
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

import reporting
from rethinker.data.gym.catalogue import GymId, problem
from rethinker.interfaces import Request, Sampling
from rethinker.learner.warmup import WarmupPlan, fresh
from rethinker.models.loading import load
from rethinker.rollout.engine import generate
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.seeding import Purpose, key
from rethinker.types import IMAGE_MARK, Problem

CLIENTS = 32
EACH = 16
"""Questions for each client; with few, most of the time some clients have none left."""

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)
MAX_TOKENS = 128
TO_REACH = 0.9

COLUMNS = (
    reporting.Column(head="answers", key="answers"),
    reporting.Column(head="tokens each", key="tokens_an_answer", digits=0),
    reporting.Column(head="engine tokens/s", key="engine_tokens_per_s", digits=0),
    reporting.Column(head="server tokens/s", key="server_tokens_per_s", digits=0),
    reporting.Column(head="ratio", key="ratio", digits=2),
    reporting.Column(head="to reach", key="to_reach"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the result."""
    arguments = reporting.parsed(reporting.parser(__doc__ or "", repeats=5, quick="one question a client"), argv)
    torch.set_num_threads(arguments.threads)
    problems = [
        problem(GymId(family="counting", level=1, split="test", index=index))
        for index in range(CLIENTS * (1 if arguments.quick else EACH))
    ]
    report = reporting.head("serving", arguments) | {"clients": CLIENTS, "questions": len(problems)}
    with TemporaryDirectory() as folder:
        (Path(folder) / "untrained").mkdir()
        fresh(WarmupPlan()).save(Path(folder) / "untrained")
        models = {"short": "tiny", "long": str(Path(folder) / "untrained")}
        report["rows"] = [{"answers": name} | measured(model, problems, arguments) for name, model in models.items()]
    reporting.write(report, arguments.json)
    print(reporting.table(COLUMNS, report["rows"]), flush=True)


def measured(model: str, problems: Sequence[Problem], arguments: Namespace) -> dict[str, Any]:
    """Both arms in turn."""
    vlm = load(model, device="cpu", dtype="float32")
    process, port = started(model, arguments.threads)
    bodies = [body(each, number) for number, each in enumerate(problems)]
    own, served, seconds, length = [], [], list[float](), 0.0
    try:
        for round_ in range(arguments.repeats + 1):
            own_rate, length = engine_rate(vlm, problems)
            served_rate, times = server_rate(port, bodies)
            if round_:
                own.append(own_rate)
                served.append(served_rate)
                seconds += times
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    ordered = np.quantile(seconds, (0.0, 0.5, 0.95, 1.0))
    return {
        "tokens_an_answer": round(length, 1),
        "to_reach": TO_REACH,
        "engine_tokens_per_s": round(statistics.median(own), 1),
        "server_tokens_per_s": round(statistics.median(served), 1),
        "ratio": round(statistics.median(b / a for a, b in zip(own, served, strict=True)), 3),
        "rounds": [{"engine": round(a, 1), "server": round(b, 1)} for a, b in zip(own, served, strict=True)],
        "client_s": {name: round(float(each), 3) for name, each in zip(("least", "median", "p95", "most"), ordered)},
    }


def engine_rate(vlm: Any, problems: Sequence[Problem]) -> tuple[float, float]:
    """Prompts made and answers sampled: tokens a second, and tokens of a mean answer."""
    began, engine = time.perf_counter(), TorchEngine(vlm, max_rows=CLIENTS)
    requests = [
        Request(
            id=str(number),
            prompt=vlm.encode(each, "plain"),
            prefix=np.zeros(0, dtype=np.int64),
            sampling=Sampling(max_tokens=MAX_TOKENS),
            seeds=(key(number, Purpose.INFERENCE),),
        )
        for number, each in enumerate(problems)
    ]
    tokens = sum(len(completion.token_ids) for completion in generate(engine, requests))
    return tokens / (time.perf_counter() - began), tokens / len(problems)


def server_rate(port: int, bodies: Sequence[bytes]) -> tuple[float, list[float]]:
    """All clients at once, until no question is left: tokens a second, and the seconds of each answer."""
    left = deque(bodies)
    clients = [Client(port, left) for _ in range(CLIENTS)]
    began = time.perf_counter()
    with selectors.DefaultSelector() as waiting:
        for client in clients:
            waiting.register(client.socket, selectors.EVENT_READ, client)
            client.ask()
        while waiting.get_map():
            for ready, _ in waiting.select():
                if not ready.data.read():
                    waiting.unregister(ready.fileobj)
    spent = time.perf_counter() - began
    for client in clients:
        client.socket.close()
    return sum(client.tokens for client in clients) / spent, [each for client in clients for each in client.times]


class Client:
    """One connection that asks one question after another, of those that all share.

    As little as can be: what clients cost is taken from a server on the same two cores, and is not its own.
    """

    def __init__(self, port: int, left: deque[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.tokens, self.times = 0, list[float]()
        self._left = left
        self._answer = b""
        self._began = 0.0

    def ask(self) -> None:
        """Send the next question."""
        self._began = time.perf_counter()
        body = self._left.popleft()
        self.socket.sendall(HEAD % len(body) + body)

    def read(self) -> bool:
        """Take what came, and ask on once the answer is whole; whether more is to come."""
        came = self.socket.recv(1 << 16)
        assert came, f"the server hung up after {self._answer!r}"
        self._answer += came
        head, ended, body = self._answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if not (ended and length and len(body) == int(length[1])):
            return True
        assert head.startswith(b"HTTP/1.1 200"), self._answer
        self.tokens += int(re.search(rb'"completion_tokens":\s*(\d+)', body)[1])
        self.times.append(time.perf_counter() - self._began)
        self._answer = b""
        if not self._left:
            return False
        self.ask()
        return True


def body(asked: Problem, seed: int) -> bytes:
    """The request for a problem."""
    file = BytesIO()
    Image.fromarray(asked.images[0].pixels).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    content = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": asked.question.replace(IMAGE_MARK, "")},
    ]
    fields = {"messages": [{"role": "user", "content": content}], "seed": seed, "max_tokens": MAX_TOKENS}
    return json.dumps(fields).encode()


def started(model: str, threads: int) -> tuple[subprocess.Popen[str], int]:
    """A server of its own process, with the clients' number of rows."""
    command = [sys.executable, "-m", "rethinker", "serve", model, "--port", "0", "--rows", str(CLIENTS)]
    environment = {name: value for name, value in os.environ.items() if name != "RETHINKER_TOKEN"}
    process = subprocess.Popen(
        [*command, "--config", f"threads={threads}"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r":(\d+)/v1", line):
            return process, int(found[1])
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    main()
