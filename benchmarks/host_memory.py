"""Whether a run in Ray holds more and more of the host's memory: every process of it, over 500 steps with images.

    python benchmarks/host_memory.py [--json OUT] [--picture OUT] [--quick] [--steps N]

The tiny recipe with small batches, an episode ahead, checkpoints and the record of responses, each prompt with an image
of its own. Of learner, engine, driver, verifier and Ray's own processes counts what nobody shares with them (USS); the
object store is what its file in memory takes; the whole tree counts shared pages once (PSS). A line fitted over
the steps from WARM on says how much each grew, as a share of what the whole tree held at its beginning.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

import reporting
from ray_runs import RAY, SEATS, Training
from reporting import Column, Lines

STEPS, WARM = 500, 0.2
"""All steps, and the share of them before memory should stand still."""
TARGET = 0.05
WHOLE, STORE, DRIVER, VERIFIER, OTHERS = "whole tree", "object store", "driver", "verifier", "Ray's own"
NAMES = dict(zip(SEATS, ("learner", "engine"), strict=True))
PARTS = (*NAMES.values(), DRIVER, VERIFIER, STORE, OTHERS)
SMALL = (
    "pipeline.staleness=1",
    "sampler.queries=4",
    "sampler.group_size=4",
    "sampler.first.max_tokens=24",
    "rethink.second_look.max_tokens=16",
    "checkpoints.every=50",
)
Sample = dict[str, float]
"""Bytes of every part, and the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One part of the tree.

    Attributes:
        start_bytes: Where the fitted line begins.
        end_bytes: Where it ends.
        growth: Between them, as a share of what the whole tree held at its beginning.
    """

    part: str
    start_bytes: float
    end_bytes: float
    growth: float
    target: float | None


COLUMNS = (
    Column(head="memory of", key="part"),
    Column(head="first MB", key="start_bytes", unit=1e6, digits=1),
    Column(head="last MB", key="end_bytes", unit=1e6, digits=1),
    Column(head="growth, % of the whole", key="growth", unit=0.01, digits=2),
    Column(head="at most %", key="target", unit=0.01, digits=0),
)


def measured(*, steps: int, every: int) -> list[Sample]:
    """Memory of a run's processes, every so many steps."""
    samples: list[Sample] = []
    overrides = [*RAY, *SMALL, f"train.steps={steps}"]
    with tempfile.TemporaryDirectory() as folder, Training(Path(folder) / "run", overrides) as run:
        while run.goes_on():
            if (step := run.steps) and (not samples or step >= samples[-1]["step"] + every):
                samples.append({"step": step, **sample(run)})
    return samples[:-1]  # the last may have met processes that were about to end


def sample(run: Training) -> Sample:
    """Bytes of every part now."""
    held: defaultdict[str, float] = defaultdict(float)
    seats = {process.pid: NAMES[seat] for seat, process in run.seated().items()}
    for process in (run.process, *run.process.children(recursive=True)):
        try:
            memory = process.memory_full_info()
            title = " ".join(process.cmdline())
            if process.name() == "raylet":
                held[STORE] = _store_bytes(process)
        except psutil.NoSuchProcess:
            continue
        part = DRIVER if process.pid == run.process.pid else seats.get(process.pid)
        held[part or (VERIFIER if "rethinker" in title else OTHERS)] += memory.uss
        held[WHOLE] += memory.pss
    return dict(held)


def _store_bytes(raylet: psutil.Process) -> float:
    """What is in memory of the file that Ray's processes map to share objects."""
    opened = Path(f"/proc/{raylet.pid}/fd").iterdir()
    stores = [os.stat(each) for each in opened if "plasma" in os.readlink(each)]
    return float(sum({each.st_ino: 512 * each.st_blocks for each in stores}.values()))


def rows(samples: Sequence[Sample]) -> list[Row]:
    """How much each part grew after the first steps."""
    last = samples[-1]["step"]
    counted = [each for each in samples if each["step"] >= WARM * last]
    lines = {part: _line(counted, part) for part in (*PARTS, WHOLE)}
    base = lines[WHOLE][0]
    return [
        Row(
            part=part,
            start_bytes=start,
            end_bytes=end,
            growth=(end - start) / base,
            target=TARGET if part == WHOLE else None,
        )
        for part, (start, end) in lines.items()
    ]


def _line(samples: Sequence[Sample], part: str) -> tuple[float, float]:
    """Both ends of the line fitted to a part's bytes."""
    at = np.array([each["step"] for each in samples])
    slope, offset = np.polyfit(at, [each.get(part, 0.0) for each in samples], 1)
    return float(offset + slope * at[0]), float(offset + slope * at[-1])


def tables(report: reporting.Row) -> str:
    """The table as Markdown."""
    return reporting.table(COLUMNS, report["rows"])


def charts(report: reporting.Row) -> list[Lines]:
    """The whole tree, and its parts."""
    samples = report["details"]["samples"]
    at = [each["step"] for each in samples]

    def series(parts: Sequence[str]) -> dict[str, list[float]]:
        return {part: [each.get(part, 0.0) / 1e6 for each in samples] for part in parts}

    return [
        Lines(title="Host memory of the whole tree", unit="MB", over="step", at=at, series=series([WHOLE])),
        Lines(title="Of each process alone", unit="MB", over="step", at=at, series=series(PARTS[:4])),
        Lines(title="Of Ray", unit="MB", over="step", at=at, series=series(PARTS[4:])),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw it if asked."""
    parser = reporting.parser(__doc__.splitlines()[0], repeats=1, quick="12 steps")
    parser.add_argument("--steps", type=int, help=f"of the run ({STEPS}; quick: 12)")
    arguments = reporting.parsed(parser, argv)
    arguments.threads = 1  # of each process
    steps = arguments.steps or (12 if arguments.quick else STEPS)
    report = reporting.head("host_memory", arguments)
    samples = measured(steps=steps, every=max(1, steps // 100))
    report |= {"rows": [asdict(row) for row in rows(samples)], "details": {"steps": steps, "samples": samples}}
    print(tables(report), flush=True)
    reporting.write(report, arguments.json)
    reporting.draw(charts(report), arguments.picture)


if __name__ == "__main__":
    main()
