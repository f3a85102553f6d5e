"""Two hosts, each a network namespace with an address and a Ray node of its own; links are cut, a host stays away."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e import runs

pytest.importorskip("ray", reason="Ray is not installed")

pytestmark = pytest.mark.cluster

HEAD, FAR = "rethinker-a", "rethinker-b"
ADDRESS = {HEAD: "10.77.41.1", FAR: "10.77.41.2"}
PORT = 6399
PATIENCE = 400.0


def ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


def remove() -> None:
    for host in ADDRESS:
        kill_all(host)
        ip("netns", "del", host, check=False)


def kill_all(host: str) -> None:
    found = subprocess.run(["ip", "netns", "pids", host], check=False, capture_output=True, text=True)
    subprocess.run(["kill", "-9", *found.stdout.split()], check=False, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[None]:
    """Both namespaces and the link; each believes the other to be its way to everywhere."""
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` command (package iproute2) to make network namespaces with")
    remove()
    try:
        for host in ADDRESS:
            ip("netns", "add", host)
        ip("link", "add", "rt-a", "netns", HEAD, "type", "veth", "peer", "name", "rt-b", "netns", FAR)
    except subprocess.CalledProcessError as refused:
        remove()
        pytest.skip(f"network namespaces cannot be made here: {refused.stderr.strip()}")
    for host, device, other in ((HEAD, "rt-a", FAR), (FAR, "rt-b", HEAD)):
        ip("-n", host, "addr", "add", f"{ADDRESS[host]}/24", "dev", device)
        ip("-n", host, "link", "set", "lo", "up")
        link(host, device, up=True)
        ip("-n", host, "route", "replace", "default", "via", ADDRESS[other])
    yield
    remove()


def link(host: str, device: str, *, up: bool) -> None:
    ip("-n", host, "link", "set", device, "up" if up else "down")


@pytest.fixture
def environment() -> dict[str, str]:
    """One token for all; a node that is silent for some seconds is dead."""
    return runs.environment(slow=0.1) | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_health_check_initial_delay_ms": "2000",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "1000",
        "RAY_health_check_failure_threshold": "4",
    }


@pytest.fixture
def scratch() -> Iterator[str]:
    """For Ray's sockets, whose paths must be short."""
    folder = tempfile.mkdtemp(prefix="rt", dir="/tmp")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def ray_start(host: str, environment: dict[str, str], scratch: str) -> None:
    role = ["--head", f"--port={PORT}", "--include-dashboard=false"] if host == HEAD else []
    far = [f"--address={ADDRESS[HEAD]}:{PORT}"] if host == FAR else []
    subprocess.run(
        [
            *("ip", "netns", "exec", host, str(Path(sys.executable).with_name("ray")), "start", *role, *far),
            *(f"--node-ip-address={ADDRESS[host]}", "--num-cpus=1", "--object-store-memory=150000000"),
            *([f"--temp-dir={scratch}"] if host == HEAD else []),
        ],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )


@pytest.fixture
def cluster(hosts: None, environment: dict[str, str], scratch: str) -> dict[str, str]:
    """A node on each host; what processes of it need in their environment."""
    for host in ADDRESS:
        ray_start(host, environment, scratch)
    return environment


class Driver:
    """A run whose driver is on the first host."""

    def __init__(self, folder: Path, talker: Path, environment: dict[str, str], *overrides: str) -> None:
        runs.write_recipe(folder, talker, checkpoints={"every": 1, "keep": 9})
        self.run, self.output = folder / "run", folder / "output.txt"
        command = ["train", "recipe.yaml", f"run.dir={self.run}", "evaluation.every=0", "cluster.kind=ray"]
        command += [f"cluster.address={ADDRESS[HEAD]}:{PORT}", *overrides]
        with self.output.open("w") as written:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", HEAD, sys.executable, "-c", "from rethinker.cli import main; main()", *command],
                cwd=folder,
                env=environment | {"COLUMNS": "300"},
                stdout=written,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text()

    def steps(self) -> int:
        metrics = self.run / "metrics.jsonl"
        return metrics.read_text().count("\n") if metrics.exists() else 0

    def when(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def ends(self) -> None:
        assert self.process.wait(timeout=PATIENCE) == 0, self.said()
        assert [row["step"] for row in runs.metrics(self.run)] == [1, 2, 3, 4, 5, 6]


def test_a_run_across_two_hosts_goes_on_after_the_link_was_cut(
    talker: Path, tmp_path: Path, cluster: dict[str, str], scratch: str
) -> None:
    driver = Driver(tmp_path, talker, cluster, "cluster.placement_seconds=60")
    driver.when(lambda: driver.steps() >= 2)
    link(FAR, "rt-b", up=False)
    driver.when(lambda: "going on from the last checkpoint, restart 1" in driver.said())
    assert "is gone" in driver.said() or "did not answer within cluster.placement_seconds" in driver.said()
    link(FAR, "rt-b", up=True)
    ip("-n", FAR, "route", "replace", "default", "via", ADDRESS[HEAD])
    ray_start(FAR, cluster, scratch)
    driver.ends()


def test_a_host_that_stays_away_is_done_without(talker: Path, tmp_path: Path, cluster: dict[str, str]) -> None:
    settings = "cluster.ranks=2", "cluster.min_ranks=1", "cluster.colocated=true", "cluster.placement_seconds=25"
    driver = Driver(tmp_path, talker, cluster, *settings)
    driver.when(lambda: driver.steps() >= 2)
    kill_all(FAR)
    driver.ends()
    assert "learner rank" in driver.said()
    assert "restart 1 of at most 3" in driver.said()
    assert "Going on with 1 of 2 learner ranks" in driver.said()
