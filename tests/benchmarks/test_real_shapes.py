from pathlib import Path

import pytest
from tests.benchmarks.running import quick_run

import real_shapes
from real_shapes import Run
from turns import OutOfMemoryError, Ready, Step, Trace

WORK = real_shapes.replace(real_shapes.LEARNER, model="3B", device="cuda")


def trace(seconds: float, passed: int) -> Trace:
    step = Step(seconds=seconds, cpu_seconds=0, tokens=1, peak_bytes=5, passed_tokens=passed)
    return Trace(ready=Ready(prompts=[], loaded_bytes=3), steps=(step,))


def test_the_work_is_that_of_the_issue() -> None:
    assert (WORK.prompt_tokens, WORK.most, WORK.group, WORK.dtype) == (1200, 500, 8, "bfloat16")


def test_tokens_are_counted_with_and_without_sharing_and_mfu_is_of_what_passed() -> None:
    shared, apart = 8 * (1200 + 8 * 500), 64 * 1700
    ours = Run(work=WORK, trace=trace(2.0, shared), tried={})
    theirs = Run(work=WORK, trace=trace(5.0, apart), tried={})
    row = real_shapes.row("ours", ours, "NVIDIA H200", theirs)
    assert (row.full_tokens_per_s, row.passed_tokens_per_s) == (apart / 2, shared / 2)
    assert row.ratio == 2.5
    assert row.target == "2×, 45 %"
    assert row.mfu == pytest.approx(row.flops / 2 / 989e12)
    # 3.09 billion weights in the language model without its output layer, at 6 operations, and the rest on top.
    assert row.flops > 6 * 2.7e9 * shared
    of_trl = real_shapes.row("trl", theirs, "NVIDIA H200", theirs)
    assert of_trl.flops > 2.5 * row.flops
    assert of_trl.ratio is None
    assert real_shapes.row("ours", ours, "some other chip", theirs).mfu is None


def test_settings_that_do_not_fit_are_recorded_and_recomputation_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def alone(arm: str, work: real_shapes.Work, repeats: int) -> Trace | None:
        tried.append((work.rows, work.checkpointing))
        return trace(1 / work.rows, 1) if work.checkpointing and work.rows <= 4 else None

    monkeypatch.setattr(real_shapes, "alone", alone)
    arguments = real_shapes.Namespace(quick=False, repeats=1)
    run = real_shapes.fastest("trl", WORK, arguments)
    assert run is not None
    assert (run.work.rows, run.work.checkpointing) == (4, True)
    assert tried == [(rows, again) for again in (False, True) for rows in (16, 8, 4, 2)]
    assert run.tried["16 rows"] is None
    assert run.tried["4 rows, recomputed"] == 0.25


def test_only_want_of_memory_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(error: Exception) -> None:
        def in_turn(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(real_shapes, "in_turn", in_turn)

    ends(OutOfMemoryError("short"))
    assert real_shapes.alone("ours", WORK, 1) is None
    ends(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        real_shapes.alone("ours", WORK, 1)


def test_the_toy_run_takes_the_whole_path(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is in the extra `benchmark`")
    report, printed = quick_run("real_shapes.py", tmp_path, "--toy")
    assert real_shapes.tables(report) in printed
    ours, theirs = report["rows"]
    assert (ours["arm"], theirs["arm"]) == ("ours", "trl")
    assert theirs["passed_tokens"] == 2 * 2 * (64 + 8)
    assert ours["passed_tokens"] <= 2 * (64 + 2 * 8)
    assert (ours["mfu"], theirs["mfu"]) == (None, None)
    assert ours["flops"] < theirs["flops"]
    assert report["engine"][0]["ratio"] > 0
