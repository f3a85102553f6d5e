"""A Ray that cannot be joined, or has no room."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.e2e import runs

pytest.importorskip("ray", reason="Ray is not installed")

PATIENCE = 400.0
TOKEN = secrets.token_hex(32)


def environment(token: str) -> dict[str, str]:
    return runs.environment() | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "COLUMNS": "300",
    }


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of a Ray of one CPU."""
    scratch = tempfile.mkdtemp(prefix="rt", dir="/tmp")  # short, for Ray's sockets
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--head", f"--port={port}"]
    command += ["--node-ip-address=127.0.0.1", "--num-cpus=1", "--object-store-memory=100000000"]
    command += ["--include-dashboard=false", f"--temp-dir={scratch}"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment(TOKEN), stdout=quiet, stderr=quiet)
    deadline = time.monotonic() + PATIENCE
    while not listens(port):
        assert process.poll() is None, "the node ended"
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield f"127.0.0.1:{port}"
    everybody = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for each in everybody:
        each.kill()
    process.wait()
    psutil.wait_procs(everybody, timeout=30)
    shutil.rmtree(scratch, ignore_errors=True)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def refused(folder: Path, talker: Path, address: str, *overrides: str, token: str = TOKEN) -> str:
    """What a run said that could not start."""
    runs.write_recipe(folder, talker)
    command = [sys.executable, "-m", "rethinker", "train", "recipe.yaml", "run.dir=run", "cluster.kind=ray"]
    ended = subprocess.run(
        [*command, f"cluster.address={address}", *overrides],
        cwd=folder,
        env=environment(token),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout
    assert "gcs_client" not in ended.stdout
    return ended.stdout


@pytest.mark.cluster
def test_a_token_that_does_not_fit_is_said(head: str, talker: Path, tmp_path: Path) -> None:
    said = refused(tmp_path, talker, head, token=secrets.token_hex(32))
    assert said.startswith(f"error: the Ray at cluster.address='{head}' does not take our token")


@pytest.mark.cluster
def test_processes_without_room_are_said_after_the_wait(head: str, talker: Path, tmp_path: Path) -> None:
    said = refused(tmp_path, talker, head, "cluster.ranks=4", "cluster.placement_seconds=5")
    assert "no room yet for 5 processes" in said
    assert "error: the cluster has no room for 5 processes after cluster.placement_seconds=5: learner rank 0" in said


@pytest.mark.cluster
def test_a_process_that_does_not_start_in_time_is_named_with_the_limit(head: str, talker: Path, tmp_path: Path) -> None:
    settings = "cluster.colocated=true", "cluster.start_seconds=0.01", "cluster.max_restarts=1"
    said = refused(tmp_path, talker, head, *settings)
    assert said.count("learner rank 0 did not answer within cluster.start_seconds=0.01; it hangs, or works") == 2
    assert "restart 1 of at most 1" in said


def test_an_address_where_nobody_listens_is_said_at_once(talker: Path, tmp_path: Path) -> None:
    said = refused(tmp_path, talker, "127.0.0.1:1")
    assert said.startswith("error: no Ray answers at cluster.address='127.0.0.1:1'")
    assert "ray start --head" in said
