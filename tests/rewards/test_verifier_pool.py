"""The worker pool, with real processes: what one response does, no other response feels."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from rethinker.errors import ConfigError
from rethinker.rewards.pool import VerifierPool
from rethinker.types import Image, Outcome, Problem, Verdict

GB = 10**9
AMPLE = 120.0  # seconds, so that a busy machine does not look like a hanging verifier
SHORT = 3.0

MISBEHAVING = """
import os, sys, threading, time
import numpy as np

kept = []

def score(response, problem):
    match response:
        case "hang": time.sleep(3600)
        case "spin":
            while True: pass
        case "bomb":
            while True: kept.append(bytearray(10_000_000))
        case "exit": os._exit(3)
        case "leave": sys.exit("bye")
        case "abort": os.abort()
        case "raise": raise KeyError("no such thing")
        case "print":
            print("noise " * 10_000, flush=True)
            os.write(1, b"more noise")
            sys.stdout.buffer.write(b"\\x00" * 100)
            return True
        case "read": return sys.stdin.read() == ""
        case "garbage":
            for fd in range(3, 20):
                try: os.write(fd, b"garbage, and a lot of it")
                except OSError: pass
            time.sleep(3600)
        case "nan": return float("nan")
        case "none": return None
        case "two": return 2
        case "string": return "1"
        case "numpy": return np.float32(1)
        case "half": return 0.5
        case "pid": raise RuntimeError(os.getpid())
        case "pixels": return float(problem.images[1].pixels.sum()) == 12 and problem.question == "<image><image>?"
    return problem.answer == response
"""


def problem(answer: str = "12", kind: str = "number") -> Problem:
    return Problem(id="p", images=(), question="?", answer=answer, verifier=kind)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "misbehaving.py").write_text(MISBEHAVING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def rules() -> Iterator[VerifierPool]:
    with VerifierPool(workers=2, timeout_seconds=AMPLE, memory_bytes=GB) as pool:
        yield pool


@pytest.fixture(scope="module")
def score(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Verdict]]:
    """Scores by the misbehaving function, in a pool that all its tests share: that is part of what is tested."""
    folder, here = tmp_path_factory.mktemp("user"), Path.cwd()
    (folder / "misbehaving.py").write_text(MISBEHAVING)
    os.chdir(folder)
    try:
        pool = VerifierPool(
            workers=1, timeout_seconds=AMPLE, memory_bytes=GB // 4, function="misbehaving:score", threshold=0.5
        )
    finally:
        os.chdir(here)
    with pool:
        yield lambda response, asked=None: pool.submit(asked or problem(), response).result()


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def wait_until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_each_of_500_futures_gets_its_own_verdict(rules: VerifierPool) -> None:
    problems = [problem(str(i)) for i in range(500)]
    futures = [rules.submit(p, f"\\boxed{{{i + i % 2}}}") for i, p in enumerate(problems)]
    verdicts = [future.result() for future in futures]
    assert [verdict.extracted for verdict in verdicts] == [str(i + i % 2) for i in range(500)]
    assert [verdict.correct for verdict in verdicts] == [i % 2 == 0 for i in range(500)]


def test_responses_may_come_from_any_thread(rules: VerifierPool) -> None:
    verdicts: dict[int, Verdict] = {}

    def submit(i: int) -> None:
        verdicts[i] = rules.submit(problem(), f"\\boxed{{{i}}}").result()

    threads = [threading.Thread(target=submit, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {i: verdict.extracted for i, verdict in verdicts.items()} == {i: str(i) for i in range(20)}


def test_any_text_travels(rules: VerifierPool) -> None:
    for text in ("\\boxed{12} \ud800 \x00 \N{SNOWMAN}", "", "x" * 1_000_000 + "\\boxed{12}"):
        assert rules.submit(problem(), text).result().correct == ("12" in text)


def test_a_rule_that_never_ends_times_out_and_its_neighbours_are_unharmed() -> None:
    with VerifierPool(workers=2, timeout_seconds=SHORT, memory_bytes=GB) as pool:
        before = [pool.submit(problem(), "\\boxed{12}") for _ in range(5)]
        endless = pool.submit(problem("3", "latex"), "\\boxed{10^{10^{10}}}")
        after = [pool.submit(problem(), "\\boxed{12}") for _ in range(5)]
        assert endless.result().outcome is Outcome.TIMEOUT
        assert endless.result().extracted == "10^{10^{10}}"
        assert all(future.result().correct for future in before + after)


@pytest.mark.parametrize("response", ["hang", "spin"])
def test_a_function_that_never_returns_times_out_and_the_pool_lives(folder: Path, response: str) -> None:
    with VerifierPool(workers=1, timeout_seconds=SHORT / 2, memory_bytes=GB, function="misbehaving:score") as pool:
        verdict = pool.submit(problem(), response).result()
        assert verdict.outcome is Outcome.TIMEOUT
        assert "1.5 s" in verdict.detail
        assert pool.submit(problem(), "12").result().correct


@pytest.mark.parametrize(
    ("response", "outcome", "detail"),
    [
        ("bomb", Outcome.ERROR, "memory_bytes"),
        ("exit", Outcome.ERROR, "status 3"),
        ("leave", Outcome.ERROR, "status 1"),
        ("abort", Outcome.ERROR, "SIGABRT"),
        ("raise", Outcome.ERROR, "KeyError: 'no such thing'"),
        ("garbage", Outcome.ERROR, "garbage"),
        ("nan", Outcome.ERROR, "returned nan"),
        ("none", Outcome.ERROR, "returned None"),
        ("two", Outcome.ERROR, "returned 2"),
        ("string", Outcome.ERROR, "returned '1'"),
    ],
)
def test_a_misbehaving_function_is_an_outcome_and_the_pool_lives(
    score: Callable[..., Verdict], response: str, outcome: Outcome, detail: str
) -> None:
    verdict = score(response)
    assert (verdict.outcome, verdict.reward) == (outcome, 0.0)
    assert detail in verdict.detail
    assert score("12").correct


@pytest.mark.parametrize(
    ("response", "outcome", "reward"),
    [
        ("12", Outcome.OK, 1.0),
        ("13", Outcome.WRONG, 0.0),
        ("half", Outcome.OK, 0.5),
        ("numpy", Outcome.OK, 1.0),
        ("print", Outcome.OK, 1.0),
        ("read", Outcome.OK, 1.0),
    ],
)
def test_a_function_scores_and_may_print_and_read(
    score: Callable[..., Verdict], response: str, outcome: Outcome, reward: float
) -> None:
    verdict = score(response)
    assert (verdict.outcome, verdict.reward) == (outcome, reward), verdict


def test_a_function_sees_the_whole_problem(score: Callable[..., Verdict]) -> None:
    images = tuple(Image(pixels=np.full((2, 2, 3), value, dtype=np.uint8)) for value in (7, 1))
    asked = Problem(id="p", images=images, question="<image><image>?", answer="1", verifier="number")
    assert score("pixels", asked).correct


def test_only_the_response_in_flight_is_charged_for_a_lost_worker(folder: Path) -> None:
    asked = problem()
    with VerifierPool(workers=1, timeout_seconds=AMPLE, memory_bytes=GB, function="misbehaving:score") as pool:
        futures = [pool.submit(asked, "exit" if i % 7 == 3 else "12") for i in range(21)]
        outcomes = [future.result().outcome for future in futures]
    assert outcomes == [Outcome.ERROR if i % 7 == 3 else Outcome.OK for i in range(21)]


def test_a_worker_that_died_idle_charges_nobody(folder: Path) -> None:
    with VerifierPool(workers=1, timeout_seconds=AMPLE, memory_bytes=GB, function="misbehaving:score") as pool:
        pid = int(pool.submit(problem(), "pid").result().detail.split()[-1])
        psutil.Process(pid).kill()
        assert wait_until(lambda: is_gone(pid))
        assert pool.submit(problem(), "12").result().correct


COUNTING = """
import os, threading
with open("imported", "a") as file:
    file.write("once\\n")
{thread}
def score(response, problem):
    if response == "exit":
        os._exit(3)
    return response == "12"
"""

THREAD = "threading.Thread(target=threading.Event().wait, daemon=True).start()"


@pytest.mark.parametrize(("thread", "imports"), [("", 1), (THREAD, 4)])
def test_a_lost_worker_is_forked_from_a_warm_one_unless_threads_forbid(folder: Path, thread: str, imports: int) -> None:
    (folder / "counting.py").write_text(COUNTING.format(thread=thread))
    with VerifierPool(workers=1, timeout_seconds=AMPLE, memory_bytes=GB, function="counting:score") as pool:
        for _ in range(3):
            lost = pool.submit(problem(), "exit").result()
            assert (lost.outcome, "status 3" in lost.detail) == (Outcome.ERROR, True)
        assert pool.submit(problem(), "12").result().correct
    assert (folder / "imported").read_text().count("once") == imports


def test_a_server_that_died_is_started_again_and_charges_nobody(folder: Path) -> None:
    before = children()
    with VerifierPool(workers=1, timeout_seconds=AMPLE, memory_bytes=GB, function="misbehaving:score") as pool:
        pid = int(pool.submit(problem(), "pid").result().detail.split()[-1])
        (server,) = children() - before - {pid}
        psutil.Process(server).kill()
        assert wait_until(lambda: is_gone(server) and is_gone(pid))
        assert pool.submit(problem(), "12").result().correct


def test_close_leaves_no_process_and_resolves_what_was_waiting(folder: Path) -> None:
    before = children()
    pool = VerifierPool(workers=2, timeout_seconds=AMPLE, memory_bytes=GB, function="misbehaving:score")
    assert len(children() - before) == 4  # each worker has the server that forked it
    futures = [pool.submit(problem(), "hang") for _ in range(5)]
    pool.close()
    pool.close()
    assert [future.result().outcome for future in futures] == [Outcome.ERROR] * 5
    assert "closed" in futures[0].result().detail
    assert children() == before
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(problem(), "12")


PARENT = """
import sys
from rethinker.rewards.pool import VerifierPool
from rethinker.types import Problem

problem = Problem(id="p", images=(), question="?", answer="1", verifier="number")
pool = VerifierPool(workers=2, timeout_seconds=600.0, memory_bytes=10**9, function="misbehaving:score")
pool.submit(problem, "spin")
print("started", flush=True)
sys.stdin.read()
"""


def test_workers_busy_or_idle_die_with_a_killed_parent(folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        workers = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
        parent.kill()
    assert len(workers) == 4
    assert wait_until(lambda: all(is_gone(pid) for pid in workers))


@pytest.mark.parametrize(
    ("function", "source", "reason"),
    [
        ("nowhere:score", "", "No module named 'nowhere'"),
        ("mine:missing", "", "no function 'missing'"),
        ("mine:score", "score = 3", "cannot be called"),
        ("mine:score", "1/0", "ZeroDivisionError"),
        ("mine:score", "import os; os._exit(9)", "status 9"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_told_at_once(
    folder: Path, function: str, source: str, reason: str
) -> None:
    (folder / "mine.py").write_text(source)
    before = children()
    with pytest.raises(ConfigError, match=reason) as caught:
        VerifierPool(workers=1, timeout_seconds=AMPLE, memory_bytes=GB, function=function)
    assert function in str(caught.value)
    assert children() == before


def test_a_module_of_the_user_named_like_ours_or_the_standard_librarys_breaks_nothing(folder: Path) -> None:
    for name in ("queue.py", "json.py", "types.py", "numpy.py"):
        (folder / name).write_text("raise ImportError('shadowed')")
    with VerifierPool(workers=1, timeout_seconds=AMPLE, memory_bytes=GB) as pool:
        assert pool.submit(problem(), "\\boxed{12}").result().correct


def test_scoring_imports_neither_torch_nor_math_verify_before_a_latex_answer() -> None:
    program = """
import sys
import rethinker.rewards.pool, rethinker.rewards.preflight, rethinker.rewards.worker
from rethinker.rewards.verifiers import verify
from rethinker.types import Problem

def asked(kind): return Problem(id="p", images=(), question="?", answer="1", verifier=kind)
def loaded(): return [name for name in ("torch", "transformers", "math_verify", "sympy") if name in sys.modules]

assert all(verify(asked(kind), "\\\\boxed{1}").correct for kind in ("number", "text", "list"))
assert not loaded(), loaded()
assert verify(asked("latex"), "\\\\boxed{1}").correct and "torch" not in sys.modules
"""
    environment: dict[str, Any] = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
