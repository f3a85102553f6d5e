"""What a user keeps secret stands nowhere afterwards: not in the run's folder, not in what was said."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.e2e import runs

SHORT = ("train.steps=2", "evaluation.every=0", "evaluation.validation_problems=2", "evaluation.test_problems=2")
MARK = "canary"
"""In every secret: it must stand in no byte of what is kept."""

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


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    """A service that lets nobody in, and tells him with which words he came."""

    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802 (the library's name)
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
    return [str(path) for path in sorted(folder.rglob("*")) if MARK in path.name or MARK.encode() in unpacked(path)]


def unpacked(path: Path) -> bytes:
    if not path.is_file():
        return b""
    packed = path.read_bytes()
    return packed + (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else b"")


def test_a_run_with_trackers_keeps_no_secret(
    talker: Path, tmp_path: Path, refusing: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = runs.write_recipe(tmp_path, talker)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:{MARK}9-pass@{refusing}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    asked = [f"trackers.{kind}=true" for kind in ("wandb", "mlflow") if find_spec(kind)]
    runs.train(recipe, tmp_path / "run", *SHORT, *asked, "profile=true")
    runs.train(Path("--resume"), tmp_path / "run", "train.steps=3") if False else None
    assert runs.rethinker("train", "--resume", "run", "train.steps=4") == 0
    assert runs.rethinker("report", "run") == 0
    said = capfd.readouterr()
    assert "mlflow ended with code 1" in said.err
    assert MARK not in said.out + said.err
    assert (tmp_path / "run" / "profile.html").is_file()
    assert telling(tmp_path) == []
