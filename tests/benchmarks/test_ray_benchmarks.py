"""What the benchmarks of whole runs make of what they measured; the runs themselves take too long for a test."""

import os
import subprocess
import sys

import psutil
import pytest

import host_memory
import loop_overhead
import overlap
import ray_runs


def step(**seconds: float) -> dict[str, float]:
    return dict.fromkeys(overlap.PARTS, 0.0) | seconds


def test_the_throughput_of_staleness_one_is_the_median_of_pairs() -> None:
    pairs = [[step(step=2.0), step(step=1.0)], [step(step=3.0), step(step=2.0)], [step(step=9.0), step(step=3.0)]]
    none, one = overlap.rows(pairs)
    assert (none.ratio, none.target) == (1.0, None)
    assert (one.ratio, one.target, one.step_s) == (2.0, overlap.TARGET, 2.0)


def test_overhead_is_what_generating_verifying_and_updating_leave() -> None:
    work = {"generate": 1.0, "rethink": 0.5, "verify": 0.1, "update": 2.0, "sync": 0.2, "step": 4.0}
    here, ray = loop_overhead.rows([[work, work | {"step": 8.0}]])
    assert here.overhead == pytest.approx(0.1)
    assert (ray.arm, ray.overhead, ray.ratio) == ("Ray", pytest.approx(0.55), 2.0)


def test_growth_is_fitted_after_the_first_steps_and_a_share_of_the_whole() -> None:
    samples = [
        {"step": number, "whole tree": 1000.0 + (number if number > 20 else 5000.0), "learner": 7.0}
        for number in range(1, 102)
    ]
    rows = {row.part: row for row in host_memory.rows(samples)}
    assert rows["whole tree"].start_bytes == pytest.approx(1021.0)
    assert rows["whole tree"].growth == pytest.approx(80 / 1021)
    assert rows["learner"].growth == pytest.approx(0.0, abs=1e-9)
    assert host_memory.tables({"rows": [{"part": "driver"}]}).count("\n") == 2


def test_the_first_steps_and_the_last_do_not_count() -> None:
    rows = [{"time/step": float(number)} for number in range(1, 7)]
    counted = ray_runs.whole_steps(rows, first=4)
    assert ray_runs.mean_seconds(counted, "step") == 4.5


def test_every_thread_of_a_process_goes_to_its_core() -> None:
    core = min(os.sched_getaffinity(0))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ray_runs.pin({"engine_0": psutil.Process(child.pid)}, [core])
    assert os.sched_getaffinity(child.pid) == {core}
    child.communicate(b"\n")
