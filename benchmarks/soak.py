"""Whether a long run stays as it began: memory, file handles, threads, processes and the time of a step.

    python benchmarks/soak.py [--json OUT] [--picture OUT] [--quick] [--steps N]

The tiny recipe over 3,000 steps with images, second looks, replay, the record of responses, and every 50 steps an
evaluation and a checkpoint. Its learning rate is next to nothing, so that step 3,000 has the same work as step 1.
The whole tree of processes is looked at from outside every ten steps. What was seen is averaged over blocks of 100
steps; a line through the blocks after the first fifth says what 1,000 steps add, with its 95 % interval, as a share of
the mean. Seconds are the processor's, which a busy machine does not stretch as it does the clock's, divided by those
that a yardstick takes at the same moments, since a shared machine's speed drifts by more than what is asked here. Both,
and the clock's, stand beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist, median

import numpy as np
import psutil
import torch

import reporting
import yardstick
from ray_runs import Training
from reporting import Column, Lines

STEPS, BLOCK, EVERY = 3000, 100, 10
WARM = 0.2
"""The share of all steps before anything should stand still."""
TARGET, PER = 0.01, 1000
MEMORY, HANDLES, THREADS, PROCESSES, WORK, CPU, YARDSTICK, CLOCK = (
    "memory",
    "file handles",
    "threads",
    "processes",
    "a step, in yardsticks",
    "processor seconds of a step",
    "processor seconds of a yardstick",
    "clock seconds of a step",
)
QUANTITIES = (MEMORY, HANDLES, THREADS, PROCESSES, WORK, CPU, YARDSTICK, CLOCK)
OF_THE_MACHINE = frozenset({CPU, YARDSTICK, CLOCK})
UNITS = {MEMORY: 1e6}
"""What a quantity is divided by to be shown."""
SMALL = (
    "learner.lr=1e-9",
    "train.updates_per_episode=2",
    "sampler.queries=2",
    "sampler.group_size=4",
    "sampler.first.max_tokens=24",
    "rethink.second_look.max_tokens=16",
    "evaluation.every=50",
    "evaluation.validation_problems=8",
    "evaluation.max_tokens=24",
    "checkpoints.every=50",
)
Sample = dict[str, float]
"""What was seen at a step, by its name, and `step`; of the processor, all seconds since the run began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One quantity over the run.

    Attributes:
        mean: Over the blocks that count.
        slope: What 1,000 steps add, as a share of the mean.
        low: Of its 95 % interval.
        high: Of its 95 % interval.
        target: How far from 0 the slope may be; None where the machine's speed or other work is measured too.
    """

    quantity: str
    mean: float
    slope: float
    low: float
    high: float
    target: float | None


COLUMNS = (
    Column(head="quantity", key="quantity"),
    Column(head="mean (memory in MB)", key="shown", digits=3),
    Column(head="% per 1,000 steps", key="slope", unit=0.01, digits=2),
    Column(head="from", key="low", unit=0.01, digits=2),
    Column(head="to", key="high", unit=0.01, digits=2),
    Column(head="at most ±%", key="target", unit=0.01, digits=0),
)


def measured(*, steps: int, every: int) -> list[Sample]:
    """What was seen of a run, every so many steps."""
    samples: list[Sample] = []
    torch.set_num_threads(1)
    overrides = [*SMALL, f"train.steps={steps}"]
    with tempfile.TemporaryDirectory() as folder, Training(Path(folder) / "run", overrides) as run:
        while run.goes_on():
            if (step := run.steps) and (not samples or step >= samples[-1]["step"] + every):
                samples.append({"step": step, **sample(run.process), YARDSTICK: yardstick.moment()})
        clock = np.cumsum([float(row["time/step"]) for row in run.rows()])
    for each in samples:
        each[CLOCK] = float(clock[int(each["step"]) - 1])
    return samples[:-1]  # the last may have met the measurement of the held-out problems


def sample(root: psutil.Process) -> Sample:
    """What a process and all below it hold now."""
    held = dict.fromkeys((MEMORY, HANDLES, THREADS, PROCESSES, CPU), 0.0)
    for process in (root, *root.children(recursive=True)):
        try:
            with process.oneshot():
                times = process.cpu_times()
                one = {
                    MEMORY: process.memory_full_info().pss,
                    HANDLES: process.num_fds(),
                    THREADS: process.num_threads(),
                    PROCESSES: 1,
                    CPU: times.user + times.system,
                }
        except psutil.NoSuchProcess:
            continue
        held = {name: held[name] + value for name, value in one.items()}
    return held


def blocks(samples: Sequence[Sample], *, size: int) -> list[Sample]:
    """Samples as means over blocks of steps; of what adds up over the run, what a step of the block took."""
    edges = np.arange(samples[0]["step"], samples[-1]["step"] + 1, size)
    at = np.array([each["step"] for each in samples])
    found = []
    for first, last in pairwise(edges):
        inside = (at >= first) & (at < last)
        middle: Sample = {"step": float((first + last) / 2)}
        for name in (MEMORY, HANDLES, THREADS, PROCESSES):
            middle[name] = float(np.mean([each[name] for each, counts in zip(samples, inside, strict=True) if counts]))
        for name in (CPU, CLOCK):
            middle[name] = float(np.diff(np.interp([first, last], at, [each[name] for each in samples]))[0]) / size
        middle[YARDSTICK] = median(each[YARDSTICK] for each, counts in zip(samples, inside, strict=True) if counts)
        middle[WORK] = middle[CPU] / middle[YARDSTICK]
        found.append(middle)
    return found


def rows(blocks: Sequence[Sample], *, steps: int) -> list[Row]:
    """How much every quantity changed after the first steps."""
    counted = [each for each in blocks if each["step"] >= WARM * steps]
    return [_row(name, counted) for name in QUANTITIES]


def _row(name: str, blocks: Sequence[Sample]) -> Row:
    values = np.array([each[name] for each in blocks])
    thousands = np.array([each["step"] for each in blocks]) / PER
    mean = float(values.mean())
    slope, offset = np.polyfit(thousands, values / mean, 1)
    free = len(values) - 2
    noise = np.square(values / mean - offset - slope * thousands).sum() / free
    half = _student(free) * float(np.sqrt(noise / np.square(thousands - thousands.mean()).sum()))
    target = None if name in OF_THE_MACHINE else TARGET
    return Row(quantity=name, mean=mean, slope=float(slope), low=slope - half, high=slope + half, target=target)


def _student(free: int) -> float:
    """Student's t that 95 % lie within, by the first term of its expansion (1 % short at 5 degrees of freedom)."""
    z = NormalDist().inv_cdf(0.975)
    return z + (z**3 + z) / (4 * free)


def tables(report: reporting.Row) -> str:
    """The table as Markdown."""
    shown = [{**row, "shown": row["mean"] / UNITS.get(row["quantity"], 1)} for row in report["rows"]]
    return reporting.table(COLUMNS, shown)


def charts(report: reporting.Row) -> list[Lines]:
    """Memory, what is held open, and the time of a step."""
    blocks = report["details"]["blocks"]
    at = [each["step"] for each in blocks]

    def series(*names: str) -> dict[str, list[float]]:
        return {name: [each[name] / UNITS.get(name, 1) for each in blocks] for name in names}

    return [
        Lines(title="Memory of all processes", unit="MB", over="step", at=at, series=series(MEMORY)),
        Lines(title="Held by all processes", unit="", over="step", at=at, series=series(HANDLES, THREADS, PROCESSES)),
        Lines(title="Time of a step", unit="yardsticks", over="step", at=at, series=series(WORK)),
        Lines(title="Seconds of a step", unit="s", over="step", at=at, series=series(CPU, CLOCK)),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw it if asked."""
    parser = reporting.parser(__doc__.splitlines()[0], repeats=1, quick="60 steps in blocks of 10")
    parser.add_argument("--steps", type=int, help=f"of the run ({STEPS}; quick: 60)")
    arguments = reporting.parsed(parser, argv)
    arguments.threads = 1
    steps, size, every = (60, 10, 2) if arguments.quick else (STEPS, BLOCK, EVERY)
    steps = arguments.steps or steps
    report = reporting.head("soak", arguments)
    found = blocks(measured(steps=steps, every=every), size=size)
    report |= {
        "rows": [asdict(row) for row in rows(found, steps=steps)],
        "details": {"steps": steps, "block": size, "blocks": found},
    }
    print(tables(report), flush=True)
    reporting.write(report, arguments.json)
    reporting.draw(charts(report), arguments.picture)


if __name__ == "__main__":
    main()
