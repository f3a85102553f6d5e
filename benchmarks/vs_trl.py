"""One GRPO step of ours beside one of trl's `GRPOTrainer`: time and peak memory, in turn and paired, in one run.

    python benchmarks/vs_trl.py --json OUT [--quick] [--repeats N] [--threads N] [--case NAME …]

Same weights, same prompts (their tokens are compared), same number of responses, one optimiser update, no second look.
In the first table every response has exactly the stated length; in the second responses end where they end, up to
a limit. Each arm is a process of its own (`arms.py` says what they do and how trl is set); this one lets them step in
turn, ours, trl, ours, trl, after one step each that is not counted. Seconds are medians; the ratio is the median of the
paired ratios, above 1 where ours is faster. Peak memory is the peak resident set of each process, imports included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import machine
import yardstick
from arms import Ready, Step, Work

HERE = Path(__file__).parent
ONE_IMAGE = ("counting", "bars")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is compared; `least` = `most` fixes the length of the responses."""

    name: str
    prompts: int = 16
    group: int = 8
    least: int
    most: int
    families: tuple[str, ...] = ONE_IMAGE


FIXED = (Case(name="g8-48-1img", least=48, most=48),)
NATURAL = (Case(name="g8-natural-1img", least=0, most=96),)
QUICK_FIXED = (Case(name="quick", prompts=2, group=2, least=4, most=4),)
QUICK_NATURAL = (Case(name="quick-natural", prompts=2, group=2, least=0, most=4),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    case: str
    ours_s: float
    trl_s: float
    ratio: float
    ours_peak_bytes: int
    trl_peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What the workers said in one case, after the first step of each."""

    ours_ready: Ready
    trl_ready: Ready
    ours: tuple[Step, ...]
    trl: tuple[Step, ...]


class Worker:
    """A process that serves one arm."""

    def __init__(self, arm: str, work: Work) -> None:
        self._arm = arm
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "arms.py"), arm, json.dumps(asdict(work))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(work.threads), "TOKENIZERS_PARALLELISM": "false"},
        )
        self.ready = Ready(**self._answer())

    def step(self) -> Step:
        """Let the arm do one step."""
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        return Step(**self._answer())

    def _answer(self) -> dict[str, object]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self._arm} worker ended with code {self._process.wait()}; its error is above")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def compare(case: Case, folder: Path, scratch: Path, *, repeats: int, threads: int) -> Trace:
    """Run both arms of one case in turn.

    Raises:
        RuntimeError: a worker failed, or the arms read different prompts.
    """
    work = Work(
        folder=str(folder),
        scratch=str(scratch),
        families=case.families,
        prompts=case.prompts,
        group=case.group,
        least=case.least,
        most=case.most,
        threads=threads,
        steps=repeats + 1,
    )
    with ExitStack() as stack:
        ours, trl = (stack.enter_context(Worker(arm, work)) for arm in ("ours", "trl"))
        if ours.ready.prompts != trl.ready.prompts:
            raise RuntimeError(f"{case.name}: the arms read different prompts; their templates have come apart")
        pairs = [(ours.step(), trl.step()) for _ in range(repeats + 1)][1:]
        return Trace(
            ours_ready=ours.ready,
            trl_ready=trl.ready,
            ours=tuple(pair[0] for pair in pairs),
            trl=tuple(pair[1] for pair in pairs),
        )


def row(case: str, ours: Sequence[Step], trl: Sequence[Step]) -> Row:
    """Medians and the median of the paired ratios."""
    return Row(
        case=case,
        ours_s=statistics.median(step.seconds for step in ours),
        trl_s=statistics.median(step.seconds for step in trl),
        ratio=statistics.median(theirs.seconds / own.seconds for own, theirs in zip(ours, trl, strict=True)),
        ours_peak_bytes=max(step.peak_bytes for step in ours),
        trl_peak_bytes=max(step.peak_bytes for step in trl),
    )


def details(case: Case, trace: Trace) -> dict[str, object]:
    """What stands behind a row: every step, the work and the memory before the first step."""
    return {
        "case": asdict(case),
        "prompt_tokens": [len(ids) for ids in trace.ours_ready.prompts],
        "ours_loaded_bytes": trace.ours_ready.loaded_bytes,
        "trl_loaded_bytes": trace.trl_ready.loaded_bytes,
        "ours_seconds": [step.seconds for step in trace.ours],
        "trl_seconds": [step.seconds for step in trace.trl],
        "ours_cpu_seconds": [step.cpu_seconds for step in trace.ours],
        "trl_cpu_seconds": [step.cpu_seconds for step in trace.trl],
        "ours_response_tokens": statistics.mean(step.response_tokens for step in trace.ours),
        "trl_response_tokens": statistics.mean(step.response_tokens for step in trace.trl),
    }


def table(rows: Sequence[Row]) -> str:
    """Rows as Markdown."""
    lines = ["| case | ours s | trl s | ratio | ours peak MB | trl peak MB |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {r.case} | {r.ours_s:.3f} | {r.trl_s:.3f} | {r.ratio:.2f} "
        f"| {r.ours_peak_bytes / 1e6:.0f} | {r.trl_peak_bytes / 1e6:.0f} |"
        for r in rows
    ]
    return "\n".join(lines)


def model_folder(scratch: Path) -> Path:
    """The embedded tiny VLM, or where it is absent an untrained one of the same shape."""
    from rethinker.learner.warmup import WarmupPlan, fresh
    from rethinker.models.tiny import TINY_FOLDER

    if (TINY_FOLDER / "config.json").is_file():
        return TINY_FOLDER
    folder = scratch / "untrained"
    folder.mkdir()
    fresh(WarmupPlan()).save(folder)
    return folder


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print both tables, and write them if asked."""
    parser = argparse.ArgumentParser(description="One GRPO step of ours beside one of trl's, in turn and paired.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="a tiny case, to see that it runs")
    parser.add_argument("--repeats", type=int, default=None, help="counted steps of each arm (7; quick: 1)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--case", action="append", help="only these cases")
    arguments = parser.parse_args(argv)
    fixed, natural = (QUICK_FIXED, QUICK_NATURAL) if arguments.quick else (FIXED, NATURAL)
    repeats = arguments.repeats or (1 if arguments.quick else 7)
    report: dict[str, object] = {
        "command": " ".join(["benchmarks/vs_trl.py", *(sys.argv[1:] if argv is None else argv)]),
        "machine": machine.record(),
        "threads": arguments.threads,
        "repeats": repeats,
        "yardstick": asdict(yardstick.measure(threads=arguments.threads, repeats=3 if arguments.quick else 15)),
    }
    behind: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(Path(scratch))
        report["model"] = folder.name
        for name, cases in (("rows", fixed), ("natural", natural)):
            rows: list[Row] = []
            for case in cases:
                if arguments.case and case.name not in arguments.case:
                    continue
                trace = compare(case, folder, Path(scratch), repeats=repeats, threads=arguments.threads)
                rows.append(row(case.name, trace.ours, trace.trl))
                behind.append(details(case, trace))
            print(table(rows), end="\n\n", flush=True)
            report[name] = [asdict(each) for each in rows]
    report["details"] = behind
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
