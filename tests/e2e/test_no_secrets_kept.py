"""What a user keeps secret stands nowhere afterwards: not in the run's folder, not in what was said."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import chdir
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.e2e import runs

from rethinker.errors import ConfigError, JudgeError
from rethinker.evaluation.judge import open_judge

SHORT = ("train.steps=2", "evaluation.every=0", "evaluation.validation_problems=2", "evaluation.test_problems=2")
TRACKIO = Path(sys.prefix) / "trackio"
"""Where `make test` puts it, beside our own versions."""

MARK = "canary"
"""In every secret: it must stand in no byte of what is kept."""

SIGNS = (MARK.encode(), base64.b64encode(MARK.encode()))
"""Of a password after a name of eight letters and a colon, as a header has them, too."""

ENVIRONMENT = {
    "WANDB_API_KEY": f"{MARK}0" + "f" * 33,
    "HF_TOKEN": f"hf_{MARK}1aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "MLFLOW_TRACKING_USERNAME": "somebody",
    "MLFLOW_TRACKING_PASSWORD": f"{MARK}2-password",
    "RETHINKER_JUDGE_KEY": f"sk-{MARK}3-of-the-judge",
    "RETHINKER_TOKEN": f"{MARK}4-of-the-server",
    "OPENAI_API_KEY": f"sk-{MARK}5-of-others",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}6/with/slashes",
    "https_proxy": f"http://somebody:{MARK}7-pass@127.0.0.1:9",
    "http_proxy": f"http://somebody:{MARK}8-pass@127.0.0.1:9",
    "no_proxy": "127.0.0.1,localhost",
}

# `urlopen` would keep this module's proxy in its process, for the tests that come after.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    """A service that lets nobody in, and tells him with which words he came."""

    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.dumps({"error": f"wrong: {self.headers.get('Authorization')}"}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def telling(folder: Path) -> list[str]:
    """Files that hold the mark, in their names or their bytes."""
    return [
        str(path)
        for path in sorted(folder.rglob("*"))
        if MARK in path.name or any(each in unpacked(path) for each in SIGNS)
    ]


def unpacked(path: Path) -> bytes:
    if not path.is_file():
        return b""
    packed = path.read_bytes()
    return packed + (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else b"")


def test_a_run_with_trackers_keeps_no_secret(
    talker: Path,
    tmp_path: Path,
    refusing: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    recipe = runs.write_recipe(tmp_path, talker)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:{MARK}9-pass@{refusing}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    asked = [f"trackers.{kind}=true" for kind in ("wandb", "mlflow") if find_spec(kind)]
    if TRACKIO.exists():
        asked.append("trackers.trackio=true")
        monkeypatch.setattr(sys, "path", [*sys.path, str(TRACKIO)])
        monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(TRACKIO), os.environ.get("PYTHONPATH", ""))))
    runs.train(recipe, tmp_path / "run", *SHORT, *asked, "profile=true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:{MARK}9-pass@127.0.0.1:9")  # nobody is there
    assert runs.rethinker("train", "--resume", "run", "train.steps=4") == 0
    assert runs.rethinker("report", "run") == 0
    said = capfd.readouterr()
    assert MARK not in said.out + said.err + caplog.text
    if "trackers.mlflow=true" in asked:
        log = (tmp_path / "run" / "trackers" / "mlflow" / "log").read_text()
        assert "wrong: Basic ***" in log
        assert "***@127.0.0.1:9" in log
    assert (tmp_path / "run" / "profile.html").is_file()
    assert ("trackers.trackio=true" in asked) == any((tmp_path / "trackio").rglob("*.db"))
    assert telling(tmp_path) == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (f"data.path=https://somebody:{MARK}-pass@host/rows.parquet", "data.path=https://***@host/rows.parquet"),
        (f"run.recipe={ENVIRONMENT['HF_TOKEN']}", "run.recipe=*** holds a password or token"),
        (f"trackers.wandb={ENVIRONMENT['WANDB_API_KEY']}", "trackers.wandb=*** holds a password or token"),
        (f"trackers.wandb_key={ENVIRONMENT['WANDB_API_KEY']}", "unknown key trackers.wandb_key"),
        (f"model.path=/nowhere/{ENVIRONMENT['OPENAI_API_KEY']}", "holds a password or token"),
    ],
)
def test_a_secret_among_the_settings_is_refused_unseen_before_there_is_a_folder(
    setting: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = ["data.kind=parquet"] if setting.startswith("data") else []
    assert runs.rethinker("train", *kind, setting) == 1
    seen = capfd.readouterr()
    assert said in seen.err
    assert MARK not in seen.out + seen.err
    assert list(tmp_path.iterdir()) == []


def test_a_judge_that_repeats_its_key_has_it_in_no_result(
    tmp_path: Path, refusing: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(JudgeError) as caught:
        open_judge(f"http://{refusing}/v1", "model", cache=tmp_path / "cache").ask("a", str, max_tokens=8)
    assert "status 401" in str(caught.value)
    assert "wrong: Bearer ***" in str(caught.value)
    assert MARK not in str(caught.value)
    assert telling(tmp_path) == []


@pytest.mark.parametrize("address", [f"http://me:{MARK}@host/v1", f"http://host/v1?key={MARK}"])
def test_a_judge_whose_address_holds_a_secret_is_refused_unseen(address: str) -> None:
    with pytest.raises(ConfigError, match="without name, password and query") as caught:
        open_judge(address, "model", cache=None)
    assert MARK not in str(caught.value)


def left_by(*command: str, folder: Path, asking: Callable[[str], None]) -> str:
    """What a server said until SIGTERM, asked once it gave its address."""
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "rethinker", *command, "--port", "0"], cwd=folder, stdout=said, stderr=said
        )
        try:
            while not (found := re.search(r"http://[^/\s]+", (folder / "said").read_text())):
                assert process.poll() is None
                time.sleep(0.05)
            asking(found[0])
        finally:
            process.terminate()
            process.wait(60)
    return (folder / "said").read_text()


def ask(address: str, *, token: str = "", body: bytes | None = None) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    asked = urllib.request.Request(address, data=body, headers=headers)
    try:
        with DIRECT.open(asked, timeout=60) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_server_says_and_keeps_no_token_whoever_asks(talker: Path, tmp_path: Path) -> None:
    replies: list[tuple[int, bytes]] = []

    def asking(server: str) -> None:
        chat, token = f"{server}/v1/chat/completions", ENVIRONMENT["RETHINKER_TOKEN"]
        question = json.dumps({"messages": [{"role": "user", "content": "3 + 4?"}], "max_tokens": 4}).encode()
        replies.append(ask(chat, token=token, body=question))
        replies.append(ask(chat, token=f"{MARK}-of-another", body=question))
        replies.append(ask(f"{chat}?api_key={MARK}-in-the-query", token=token, body=b"{"))
        replies.extend(
            ask(f"{server}/{place}", token=token) for place in ("", "metrics", "health", "v1/models", "nowhere")
        )

    said = left_by("serve", str(talker), folder=tmp_path, asking=asking)
    assert [status for status, _ in replies] == [200, 401, 400, 200, 200, 200, 200, 404]
    assert MARK not in said
    assert not any(MARK.encode() in body for _, body in replies)
    assert telling(tmp_path) == []


def test_a_watched_run_shows_no_secret_of_the_environment_or_of_those_who_ask(talker: Path, tmp_path: Path) -> None:
    recipe = runs.write_recipe(tmp_path, talker)
    with chdir(tmp_path):
        runs.train(recipe, tmp_path / "run", *SHORT)
    replies: list[tuple[int, bytes]] = []

    def asking(server: str) -> None:
        token = re.search(r"token=([\w-]+)", (tmp_path / "said").read_text())
        assert token
        replies.append(ask(f"{server}/?token={token[1]}"))
        replies.append(ask(f"{server}/?token={MARK}-of-another"))
        replies.append(ask(f"{server}/{MARK}", token=f"{MARK}-of-another"))

    said = left_by("watch", "run", folder=tmp_path, asking=asking)
    assert [status for status, _ in replies] == [200, 403, 403]
    assert MARK not in said
    assert not any(MARK.encode() in body for _, body in replies)
    assert telling(tmp_path) == []
