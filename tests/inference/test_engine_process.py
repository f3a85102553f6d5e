"""The engine's process lives and ends as its server needs it."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from tests.inference.conftest import Server, ended, started


@pytest.fixture
def made() -> Iterator[Server]:
    server = started()
    yield server
    server.process.kill()
    server.process.wait()


def engine_of(server: Server) -> psutil.Process:
    (found,) = psutil.Process(server.process.pid).children()
    assert "rethinker.commands.engine_process" in found.cmdline()
    return found


def test_when_the_engine_dies_who_waits_is_told_and_so_is_health(made: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(made.complete, n=8, temperature=2, max_tokens=1500)
        while made.metric("rethinker_choices_waiting") != 8:
            time.sleep(0.01)
        engine_of(made).kill()
        status, told = answer.result(timeout=60)
    assert (status, told["error"]["type"]) == (503, "server_error")
    assert "the engine stopped" in told["error"]["message"]
    assert made.ask("GET", "/health")[0] == 503
    status, told = made.complete()
    assert (status, "start the server again" in told["error"]["message"]) == (503, True)
    assert ended(made) == 0


def test_a_killed_server_takes_its_engine_along(made: Server) -> None:
    engine = engine_of(made)
    made.process.kill()
    engine.wait(timeout=60)


def test_a_signal_to_both_lets_the_answer_be_finished(made: Server) -> None:
    """As a terminal and systemd send it."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(made.complete, temperature=2, max_tokens=1500)
        while made.metric("rethinker_choices_waiting") != 1:
            time.sleep(0.01)
        engine = engine_of(made)
        for process in (engine, made.process):
            process.send_signal(signal.SIGTERM)
        assert answer.result(timeout=120)[0] == 200
    assert made.process.wait(60) == 0
    assert not engine.is_running()
