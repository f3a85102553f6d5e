"""What the loop itself takes of a step in Ray: all but generating, verifying and updating.

    python benchmarks/loop_overhead.py [--json OUT] [--picture OUT] [--quick] [--repeats N]

Whole runs of the tiny recipe, second looks and selective replay included, with one learner rank and one engine in Ray,
and in turn with the same run in one process of one thread. Second looks count as generated. The rest is prompts,
credit, replay, sync and the record of what was said; what calls between processes cost lies within the stretches that
wait for them, so the last column sets the whole step beside one process's.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import reporting
from ray_runs import RAY, Training, mean_seconds, whole_steps
from reporting import Bars, Column

ARMS = {"one process": (), "Ray": RAY}
TARGET = 0.05
EPISODE = 2
"""Steps of an episode in the recipe: only whole ones count, and neither the first nor the last."""
WORK = ("generate", "rethink", "verify", "update")
PARTS = (*WORK, "sync", "step")
SMALL = ("sampler.queries=2", "sampler.group_size=2", "sampler.first.max_tokens=8", "rethink.second_look.max_tokens=8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One arm; seconds are medians over runs of a mean step, shares of a step."""

    arm: str
    generate_s: float
    rethink_s: float
    verify_s: float
    update_s: float
    sync_s: float
    step_s: float
    overhead: float
    target: float | None
    ratio: float


COLUMNS = (
    Column(head="run in", key="arm"),
    Column(head="generate s", key="generate_s", digits=3),
    Column(head="second looks s", key="rethink_s", digits=3),
    Column(head="verify s", key="verify_s", digits=3),
    Column(head="update s", key="update_s", digits=3),
    Column(head="of the rest: sync s", key="sync_s", digits=3),
    Column(head="step s", key="step_s", digits=3),
    Column(head="overhead %", key="overhead", unit=0.01, digits=1),
    Column(head="at most %", key="target", unit=0.01, digits=0),
    Column(head="step × one process", key="ratio", digits=2),
)


def measured(overrides: Sequence[str], *, steps: int) -> dict[str, float]:
    """Seconds of a mean step of one run, and of its parts."""
    with tempfile.TemporaryDirectory() as folder:
        lasting = [f"train.steps={steps}", "checkpoints.every=100000"]
        with Training(Path(folder) / "run", [*overrides, *lasting]) as run:
            while run.goes_on():
                pass
            counted = whole_steps(run.rows()[: 1 - EPISODE], first=EPISODE + 1)
            return {name: mean_seconds(counted, name) for name in PARTS}


def overhead(step: Mapping[str, float]) -> float:
    """The share of a step that is no work."""
    return 1 - sum(step[name] for name in WORK) / step["step"]


def rows(turns: Sequence[Sequence[Mapping[str, float]]]) -> list[Row]:
    """Every arm from its runs in turn."""
    return [
        Row(
            arm=arm,
            overhead=statistics.median(overhead(turn[place]) for turn in turns),
            target=TARGET if place else None,
            ratio=statistics.median(turn[place]["step"] / turn[0]["step"] for turn in turns),
            **{f"{name}_s": statistics.median(turn[place][name] for turn in turns) for name in PARTS},
        )
        for place, arm in enumerate(ARMS)
    ]


def tables(report: reporting.Row) -> str:
    """The table as Markdown."""
    return reporting.table(COLUMNS, report["rows"])


def charts(report: reporting.Row) -> list[Bars]:
    """The work of a step and the whole of it."""
    places = [*WORK, "step"]
    series = {row["arm"]: [row[f"{name}_s"] for name in places] for row in report["rows"]}
    return [Bars(title="A step, and the work in it", unit="seconds", places=places, series=series)]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw it if asked."""
    parser = reporting.parser(__doc__.splitlines()[0], repeats=5, quick="one pair of short runs of small batches")
    arguments = reporting.parsed(parser, argv)
    arguments.threads = 1  # of each process
    steps, sizes = (6, SMALL) if arguments.quick else (14, ())
    report = reporting.head("loop_overhead", arguments)
    turns = [[measured([*arm, *sizes], steps=steps) for arm in ARMS.values()] for _ in range(arguments.repeats)]
    report |= {"rows": [asdict(row) for row in rows(turns)], "details": {"steps": steps, "turns": turns}}
    print(tables(report), flush=True)
    reporting.write(report, arguments.json)
    reporting.draw(charts(report), arguments.picture)


if __name__ == "__main__":
    main()
