"""Several Ray nodes on one machine, which come and go; and a Ray that cannot be joined."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.e2e import runs

pytest.importorskip("ray", reason="Ray is not installed")

PATIENCE = 400.0


class Nodes:
    """A Ray of nodes of one CPU each on this machine."""

    def __init__(self, scratch: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.environment = runs.environment(slow=0.1) | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "COLUMNS": "300",
        }
        self._started: list[subprocess.Popen[bytes]] = []
        self.start("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={scratch}")
        self._until(self._head_listens)

    def start(self, *role: str) -> None:
        """A node, which joins the first where nothing else is said."""
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--node-ip-address=127.0.0.1"]
        command += ["--num-cpus=1", "--object-store-memory=100000000", *(role or [f"--address={self.address}"])]
        quiet = subprocess.DEVNULL
        self._started.append(subprocess.Popen(command, env=self.environment, stdout=quiet, stderr=quiet))

    def kill(self) -> None:
        """The last node, with everybody on it."""
        process = self._started.pop()
        everybody = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for each in everybody:
            each.kill()
        process.wait()
        psutil.wait_procs(everybody, timeout=30)

    def close(self) -> None:
        while self._started:
            self.kill()

    def train(self, folder: Path, *overrides: str) -> subprocess.Popen[str]:
        """Its console goes to `output.txt`."""
        command = ["train", "recipe.yaml", f"run.dir={folder / 'run'}", "evaluation.every=0", "cluster.kind=ray"]
        command += [f"cluster.address={self.address}", *overrides]
        with (folder / "output.txt").open("w") as written:
            return subprocess.Popen(
                [sys.executable, "-c", "from rethinker.cli import main; main()", *command],
                cwd=folder,
                env=self.environment,
                stdout=written,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def _head_listens(self) -> bool:
        host, port = self.address.split(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self._started[-1].poll() is None, "the node ended"
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    scratch = tempfile.mkdtemp(prefix="rt", dir="/tmp")  # short, for Ray's sockets
    made = Nodes(scratch)
    yield made
    made.close()
    shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture
def place(talker: Path, tmp_path: Path) -> Path:
    runs.write_recipe(tmp_path, talker, checkpoints={"every": 1, "keep": 9})
    return tmp_path


def refused(process: subprocess.Popen[str], place: Path) -> str:
    """What a run said that could not start."""
    assert process.wait(timeout=PATIENCE) == 1
    said = (place / "output.txt").read_text()
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert "gcs_client" not in said
    return said


def test_a_token_that_does_not_fit_is_said(nodes: Nodes, place: Path) -> None:
    right, nodes.environment["RAY_AUTH_TOKEN"] = nodes.environment["RAY_AUTH_TOKEN"], secrets.token_hex(32)
    try:
        said = refused(nodes.train(place), place)
    finally:
        nodes.environment["RAY_AUTH_TOKEN"] = right
    assert f"the Ray at cluster.address='{nodes.address}' does not take our token" in said


def test_processes_without_room_are_said_after_the_wait(nodes: Nodes, place: Path) -> None:
    process = nodes.train(place, "cluster.ranks=4", "cluster.placement_seconds=5")
    assert process.wait(timeout=PATIENCE) == 1
    said = (place / "output.txt").read_text()
    assert "no room yet for 5 processes" in said
    assert "error: the cluster has no room for 5 processes after cluster.placement_seconds=5: learner rank 0" in said
    assert "Traceback" not in said


def test_an_address_where_nobody_listens_is_said_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = "127.0.0.1:1"
    arguments = "cluster.kind=ray", f"cluster.address={address}", f"run.dir={place / 'run'}"
    assert runs.rethinker("train", place / "recipe.yaml", *arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: no Ray answers at cluster.address='{address}'")
    assert "ray start --head" in said


def test_a_node_that_leaves_is_waited_for_and_then_done_without(nodes: Nodes, place: Path) -> None:
    nodes.start()
    settings = "cluster.ranks=2", "cluster.min_ranks=1", "cluster.colocated=true", "cluster.placement_seconds=40"
    process = nodes.train(place, *settings)

    def said() -> str:
        return (place / "output.txt").read_text()

    def when(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert process.poll() is None, said()
            assert time.monotonic() < deadline, said()
            time.sleep(0.1)

    def steps() -> int:
        metrics = place / "run" / "metrics.jsonl"
        return metrics.read_text().count("\n") if metrics.exists() else 0

    when(lambda: steps() >= 2)
    nodes.kill()
    when(lambda: "no room yet for 2 processes" in said().split("restart 1 of at most 3")[-1])
    nodes.start()
    before = steps()
    when(lambda: steps() > before)
    assert "Going on with" not in said()  # all ranks again
    nodes.kill()
    assert process.wait(timeout=PATIENCE) == 0, said()
    assert "restart 2 of at most 3" in said()
    assert "Going on with 1 of 2 learner ranks" in said()
    assert [row["step"] for row in runs.metrics(place / "run")] == [1, 2, 3, 4, 5, 6]
    sys.stdout.write(said())
