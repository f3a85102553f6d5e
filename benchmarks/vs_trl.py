"""One GRPO step of ours beside one of trl's `GRPOTrainer`: time and peak memory, in turn and paired, in one run.

    python benchmarks/vs_trl.py --tune --json OUT --picture OUT [--quick] [--repeats N] [--threads N] [--case NAME …]

Same weights, same prompts (their tokens are compared), same number of responses, one optimiser update, no second look.
In the first table every response has exactly the stated length; in the second responses end where they end, up to
a limit. A case's name says responses per prompt, their length, and images per prompt; 16 prompts always. Each arm is a
process of its own (`arms.py` says what they do, `trl_arm.py` how trl is set); this one lets them step in turn, ours,
trl, ours, trl, after one step each that is not counted. Seconds are medians; the ratio is the median of the paired
ratios, above 1 where ours is faster.

Memory is stated twice: the peak of each process, imports included, and that peak less what the process held when it
stood with its model, optimiser and prompts, before the first step.

Which number of rows passes trl's learner fastest depends on the case. `--tune` measures trl alone with each of `ROWS`
and takes the fastest, so that it is compared at its best; the result holds all that was measured.
"""

from __future__ import annotations

import statistics
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import reporting
from turns import Step, Trace, Worker, in_turn
from work import Work

ROWS = (64, 32, 16)
TUNING_STEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is compared; `least` = `most` fixes the length of the responses.

    Attributes:
        rows: Rows that pass trl's learner at once, where they are not tuned.
        target: The ratio to reach.
    """

    name: str
    prompts: int = 16
    group: int = 8
    least: int
    most: int
    images: int = 1
    rows: int = 32
    target: float | None = None


def _fixed(group: int, tokens: int, images: int, *, target: float | None = None) -> Case:
    name = f"g{group}-{tokens}-{images}img"
    return Case(name=name, group=group, least=tokens, most=tokens, images=images, target=target)


FIXED = (
    _fixed(4, 48, 1),
    _fixed(8, 48, 1, target=2.5),
    _fixed(16, 48, 1),
    _fixed(8, 48, 4, target=4.0),
    _fixed(16, 48, 4, target=5.0),
    _fixed(8, 128, 1),
    _fixed(4, 128, 4),
    _fixed(8, 256, 1),
    _fixed(4, 256, 4),
)
NATURAL = (Case(name="g8-natural-1img", least=0, most=96),)
QUICK = (Case(name="quick", prompts=2, group=2, least=4, most=4, images=4, rows=2),)

COLUMNS = (
    reporting.Column(head="case", key="case"),
    reporting.Column(head="ours s", key="ours_s", digits=3),
    reporting.Column(head="trl s", key="trl_s", digits=3),
    reporting.Column(head="ratio", key="ratio", digits=2),
    reporting.Column(head="to reach", key="target"),
    reporting.Column(head="ours peak MB", key="ours_peak_bytes", unit=1e6, digits=0),
    reporting.Column(head="trl peak MB", key="trl_peak_bytes", unit=1e6, digits=0),
    reporting.Column(head="ours above loaded MB", key="ours_above_bytes", unit=1e6, digits=0),
    reporting.Column(head="trl above loaded MB", key="trl_above_bytes", unit=1e6, digits=0),
    reporting.Column(head="rows in trl's learner", key="trl_rows"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    case: str
    ours_s: float
    trl_s: float
    ratio: float
    target: float | None
    ours_peak_bytes: int
    trl_peak_bytes: int
    ours_above_bytes: int
    trl_above_bytes: int
    trl_rows: int


def work(case: Case, scratch: str, arguments: Namespace, *, steps: int, rows: int) -> Work:
    """What both arms are given."""
    return Work(
        device=arguments.device,
        scratch=scratch,
        prompts=case.prompts,
        group=case.group,
        images=case.images,
        least=case.least,
        most=case.most,
        rows=rows,
        threads=arguments.threads,
        steps=steps,
    )


def arm(name: str, given: Work) -> partial[Worker]:
    """How to start an arm."""
    return partial(Worker, "arms.py", name, given.stated(), threads=given.threads)


def tune(case: Case, scratch: str, arguments: Namespace) -> dict[int, float]:
    """Seconds of trl's step by the number of rows in its learner, each alone; nothing where there are too few rows."""
    steps = 1 if arguments.quick else TUNING_STEPS
    found = {}
    for rows in (each for each in ROWS if each <= case.prompts * case.group):
        given = work(case, scratch, arguments, steps=steps + 1, rows=rows)
        (trace,) = in_turn([arm("trl", given)], repeats=steps, case=case.name)
        found[rows] = statistics.median(step.seconds for step in trace.steps)
    return found


def compare(case: Case, scratch: str, arguments: Namespace) -> tuple[Trace, Trace]:
    """Run both arms of one case in turn."""
    given = work(case, scratch, arguments, steps=arguments.repeats + 1, rows=case.rows)
    ours, trl = in_turn([arm("ours", given), arm("trl", given)], repeats=arguments.repeats, case=case.name)
    return ours, trl


def row(case: Case, ours: Trace, trl: Trace) -> Row:
    """Medians and the median of the paired ratios."""
    peaks = [max(step.peak_bytes for step in trace.steps) for trace in (ours, trl)]
    return Row(
        case=case.name,
        ours_s=statistics.median(step.seconds for step in ours.steps),
        trl_s=statistics.median(step.seconds for step in trl.steps),
        ratio=statistics.median(b.seconds / a.seconds for a, b in zip(ours.steps, trl.steps, strict=True)),
        target=case.target,
        ours_peak_bytes=peaks[0],
        trl_peak_bytes=peaks[1],
        ours_above_bytes=peaks[0] - ours.ready.loaded_bytes,
        trl_above_bytes=peaks[1] - trl.ready.loaded_bytes,
        trl_rows=min(case.rows, case.prompts * case.group),
    )


def details(case: Case, ours: Trace, trl: Trace, tuning: dict[int, float]) -> dict[str, Any]:
    """What stands behind a row: every step, the work and the memory before the first step."""
    return {
        "case": asdict(case),
        "prompt_tokens": [len(ids) for ids in ours.ready.prompts],
        "trl_seconds_by_rows": {str(rows): seconds for rows, seconds in tuning.items()},
        "ours": _of_arm(case, ours.ready.loaded_bytes, ours.steps),
        "trl": _of_arm(case, trl.ready.loaded_bytes, trl.steps),
    }


def _of_arm(case: Case, loaded: int, steps: Sequence[Step]) -> dict[str, Any]:
    return {
        "loaded_bytes": loaded,
        "seconds": [step.seconds for step in steps],
        "cpu_seconds": [step.cpu_seconds for step in steps],
        "response_tokens": statistics.mean(step.tokens for step in steps) / (case.prompts * case.group),
        "passed_tokens": [step.passed_tokens for step in steps],
    }


def tables(report: reporting.Row) -> str:
    """Both tables as Markdown: exact lengths, natural lengths."""
    return "\n\n".join(reporting.table(COLUMNS, report[name]) for name in ("rows", "natural") if report[name])


def charts(report: reporting.Row) -> list[reporting.Bars]:
    """Seconds and memory of both arms."""
    rows = [*report["rows"], *report["natural"]]
    places = [row["case"] for row in rows]
    return [
        reporting.Bars(
            title="One GRPO step",
            unit="seconds",
            places=places,
            series={"ours": [row["ours_s"] for row in rows], "trl": [row["trl_s"] for row in rows]},
            notes=[f"{row['ratio']:.2f}×" for row in rows],
        ),
        reporting.Bars(
            title="Peak memory of the process",
            unit="MB",
            places=places,
            series={name: [row[f"{name}_peak_bytes"] / 1e6 for row in rows] for name in ("ours", "trl")},
        ),
    ]


def measure(cases: Sequence[Case], scratch: str, arguments: Namespace) -> tuple[list[Row], list[dict[str, Any]]]:
    """All cases that are asked for."""
    rows, behind = [], []
    for case in cases:
        if arguments.case and case.name not in arguments.case:
            continue
        tuning = tune(case, scratch, arguments) if arguments.tune else {}
        chosen = replace(case, rows=min(tuning, key=lambda each: tuning[each])) if tuning else case
        ours, trl = compare(chosen, scratch, arguments)
        rows.append(row(chosen, ours, trl))
        behind.append(details(chosen, ours, trl, tuning))
    return rows, behind


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write and draw them if asked."""
    parser = reporting.parser(
        "One GRPO step of ours beside one of trl's, in turn and paired.", repeats=7, quick="one tiny case"
    )
    parser.add_argument("--case", action="append", help="only these cases")
    parser.add_argument("--tune", action="store_true", help="measure first which rows suit trl's learner best")
    arguments = reporting.parsed(parser, argv)
    fixed, natural = (QUICK, ()) if arguments.quick else (FIXED, NATURAL)
    report = reporting.head("vs_trl", arguments) | {"model": "tiny"}
    behind: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, cases in (("rows", fixed), ("natural", natural)):
            rows, of_rows = measure(cases, scratch, arguments)
            report[name] = [asdict(each) for each in rows]
            behind += of_rows
    report |= {"details": behind}
    print(tables(report), flush=True)
    reporting.write(report, arguments.json)
    reporting.draw(charts(report), arguments.picture)


if __name__ == "__main__":
    main()
