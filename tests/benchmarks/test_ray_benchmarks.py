"""What the benchmarks of whole runs make of what they measured; the runs themselves take too long for a test."""

import os
import subprocess
import sys
from dataclasses import asdict

import psutil
import pytest

import host_memory
import loop_overhead
import overlap
import ray_runs
import soak


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


def soaked(step: int, *, growing: float) -> dict[str, float]:
    held = {
        soak.MEMORY: 600e6 * (1 + growing * step / 1000),
        soak.HANDLES: 15.0,
        soak.THREADS: 8.0,
        soak.PROCESSES: 2.0,
    }
    slower = 1 + step / 4000  # a machine whose speed drifts
    spent = {soak.CPU: 0.2 * (step + step**2 / 8000), soak.YARDSTICK: 0.01 * slower, soak.CLOCK: 0.25 * step}
    return {"step": step, **held, **spent}


def test_a_slope_is_a_share_per_thousand_steps_with_its_interval() -> None:
    samples = [soaked(step, growing=0.05) for step in range(1, 2002, 10)]
    rows = {row.quantity: row for row in soak.rows(soak.blocks(samples, size=100), steps=2000)}
    memory = rows[soak.MEMORY]
    assert memory.slope == pytest.approx(0.05 / 1.06, rel=0.02)
    assert memory.low <= memory.slope <= memory.high
    assert soak.tables({"rows": [asdict(memory)]}).count("\n") == 2


def test_a_machine_that_slows_down_is_not_taken_for_a_run_that_does() -> None:
    samples = [soaked(step, growing=0.0) for step in range(1, 2002, 10)]
    rows = {row.quantity: row for row in soak.rows(soak.blocks(samples, size=100), steps=2000)}
    work, cpu = rows[soak.WORK], rows[soak.CPU]
    assert cpu.slope == pytest.approx(0.25 / (1 + 1200 / 4000), rel=0.02)
    assert (work.mean, work.slope) == (pytest.approx(20.0, rel=0.01), pytest.approx(0.0, abs=1e-3))
    assert (work.target, cpu.target) == (soak.TARGET, None)


def test_noise_widens_the_interval() -> None:
    samples = [soaked(step, growing=0.0) for step in range(1, 2002, 10)]
    for number, each in enumerate(samples):
        each[soak.MEMORY] *= 1 + 0.1 * (number % 3)
    row = soak.rows(soak.blocks(samples, size=70), steps=2000)[0]
    assert row.low < 0 < row.high
    assert row.high - row.low > 1e-4


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
