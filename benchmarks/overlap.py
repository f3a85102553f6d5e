"""What generating the next batch during the update brings: `pipeline.staleness` 1 beside 0, in Ray.

    python benchmarks/overlap.py [--json OUT] [--picture OUT] [--quick] [--repeats N]

Whole runs of the embedded model with one learner rank and one engine, each process held to a core of its own with one
thread; the driver goes where there is room. Each step samples 16 × 8 responses of up to 96 tokens and makes one update
on them: sizes at which generation takes about as long as the learner's work. The learning rate is next to nothing, so
that both arms do the same at every step. With staleness 1 the learner's work is the update and the log-probs of stale
samples (`learner.behaviour_logprobs=auto`), which its arm pays for. Runs take turns; a ratio is of a pair's seconds per
step, above 1 where staleness 1 is faster.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import reporting
from ray_runs import RAY, SEATS, Training, mean_seconds, pin, whole_steps
from reporting import Bars, Column

QUERIES, GROUP, TOKENS = 16, 8, 96
TARGET = 1.4
UNCOUNTED = 3
"""Steps before the processes are warm and held to their cores."""
SAME_WORK = (
    "rethink.kind=none",
    "replay.kind=none",
    "learner.lr=1e-12",
    "train.updates_per_episode=1",
    "checkpoints.every=100000",
)
PARTS = ("generate", "logprobs", "update", "sync", "step")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One arm; seconds are medians over runs of a mean step."""

    staleness: int
    generate_s: float
    logprobs_s: float
    update_s: float
    sync_s: float
    step_s: float
    ratio: float
    target: float | None


COLUMNS = (
    Column(head="staleness", key="staleness"),
    Column(head="generate s", key="generate_s", digits=3),
    Column(head="log-probs s", key="logprobs_s", digits=3),
    Column(head="update s", key="update_s", digits=3),
    Column(head="sync s", key="sync_s", digits=3),
    Column(head="step s", key="step_s", digits=3),
    Column(head="throughput × staleness 0", key="ratio", digits=2),
    Column(head="to reach", key="target"),
)


def measured(staleness: int, *, steps: int, sizes: tuple[int, int, int]) -> dict[str, float]:
    """Seconds of a mean step of one run, and of its parts."""
    queries, group, tokens = sizes
    overrides = [
        *RAY,
        *SAME_WORK,
        f"pipeline.staleness={staleness}",
        f"sampler.queries={queries}",
        f"sampler.group_size={group}",
        f"sampler.first.max_tokens={tokens}",
        f"train.steps={steps}",
    ]
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, Training(Path(folder) / "run", overrides) as run:
        pinned = False
        while run.goes_on():
            if not pinned and run.steps:
                pin(run.seated(), [cores[place % len(cores)] for place in range(len(SEATS))])
                pinned = True
        counted = whole_steps(run.rows(), first=UNCOUNTED + 1)
        return {name: mean_seconds(counted, name) for name in PARTS}


def rows(pairs: Sequence[Sequence[Mapping[str, float]]]) -> list[Row]:
    """Both arms from their runs in turn."""
    arms = list(zip(*pairs, strict=True))
    return [
        Row(
            staleness=staleness,
            ratio=statistics.median(pair[0]["step"] / pair[staleness]["step"] for pair in pairs),
            target=TARGET if staleness else None,
            **{f"{name}_s": statistics.median(run[name] for run in arms[staleness]) for name in PARTS},
        )
        for staleness in range(len(arms))
    ]


def tables(report: reporting.Row) -> str:
    """The table as Markdown."""
    return reporting.table(COLUMNS, report["rows"])


def charts(report: reporting.Row) -> list[Bars]:
    """A step and its parts under each arm."""
    held = report["rows"]
    return [
        Bars(
            title="A step, and what it is made of",
            unit="seconds",
            places=list(PARTS),
            series={f"staleness {row['staleness']}": [row[f"{name}_s"] for name in PARTS] for row in held},
        )
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw it if asked."""
    parser = reporting.parser(__doc__.splitlines()[0], repeats=5, quick="one pair of short runs of small batches")
    arguments = reporting.parsed(parser, argv)
    arguments.threads = 1  # of each process
    steps, sizes = (6, (2, 2, 8)) if arguments.quick else (24, (QUERIES, GROUP, TOKENS))
    report = reporting.head("overlap", arguments)
    pairs = [[measured(staleness, steps=steps, sizes=sizes) for staleness in (0, 1)] for _ in range(arguments.repeats)]
    details = {"queries": sizes[0], "group": sizes[1], "tokens": sizes[2], "steps": steps, "pairs": pairs}
    report |= {"rows": [asdict(row) for row in rows(pairs)], "details": details}
    print(tables(report), flush=True)
    reporting.write(report, arguments.json)
    reporting.draw(charts(report), arguments.picture)


if __name__ == "__main__":
    main()
