"""What each setting of the learner costs and saves, beside the defaults: seconds and memory of an update.

    python benchmarks/settings.py --json OUT --picture OUT [--quick] [--repeats N] [--threads N] [--device cuda]

The work is that of `scaling.py`'s base, 16 prompts × 8 responses × 48 tokens of the embedded model. Every setting has a
model and a learner of its own in this process; they take turns, and the ratio is the median of the pairs with the
default's update of the same turn. Memory is the peak of live tensors in an update of its own that is not timed (on CUDA
the allocator's peak): weights, masters, moments, gradients and activations.
"""

from __future__ import annotations

import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from textwrap import fill
from typing import Any

import torch

import reporting
import scaling
import shapes
from live_tensors import LivePeak
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.adapters import recompute_activations
from rethinker.models.vlm import VLM
from rethinker.types import Experience
from work import Work, experiences


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One difference from the defaults.

    Attributes:
        changed: Of `Optimisation`.
    """

    name: str
    dtype: str = "float32"
    checkpointing: bool = False
    changed: dict[str, Any] = field(default_factory=dict)


SETTINGS = (
    Setting(name="defaults, float32"),
    Setting(name="learner.share_prompts=false", changed={"share_prompts": False}),
    Setting(name="learner.micro_batch_tokens=4096", changed={"micro_batch_tokens": 4096}),
    Setting(name="learner.micro_batch_tokens=2048", changed={"micro_batch_tokens": 2048}),
    Setting(name="model.gradient_checkpointing=true", checkpointing=True),
    Setting(name="learner.compile=true", changed={"compile": True}),
    Setting(name="model.dtype=bfloat16", dtype="bfloat16"),
    Setting(
        name="model.dtype=bfloat16 learner.master_weights=false", dtype="bfloat16", changed={"master_weights": False}
    ),
    Setting(
        name="model.dtype=bfloat16 learner.optimizer=adamw_8bit", dtype="bfloat16", changed={"optimizer": "adamw_8bit"}
    ),
)

COLUMNS = (
    reporting.Column(head="setting", key="setting"),
    reporting.Column(head="update s", key="seconds", digits=3),
    reporting.Column(head="× the default's", key="ratio", digits=2),
    reporting.Column(head="first update s", key="first_seconds", digits=1),
    reporting.Column(head="peak of live tensors MB", key="peak_bytes", unit=1e6, digits=0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; the ratio is above 1 where the default is faster."""

    setting: str
    seconds: float
    ratio: float
    first_seconds: float
    peak_bytes: int


def arm(setting: Setting, work: Work) -> Callable[[], None]:
    """An update under a setting."""
    vlm = shapes.load(work.model, device=work.device, dtype=setting.dtype)
    if setting.checkpointing:
        recompute_activations(vlm.module)
    learner = PolicyLearner(
        vlm, objective=Objective(), optimisation=Optimisation(steps=1000, lr=1e-6, **setting.changed)
    )
    chosen = _chosen(vlm, work)

    def update() -> None:
        learner.update(chosen)
        if work.device != "cpu":
            torch.cuda.synchronize()

    return update


def _chosen(vlm: VLM, work: Work) -> list[Experience]:
    prompts = [vlm.encode(each, "plain") for each in work.problems(vlm.processor)]
    return [
        each
        for number, prompt in enumerate(prompts)
        for each in experiences(prompt, [work.given_ids(number, sample) for sample in range(work.group)])
    ]


def _seconds(update: Callable[[], None]) -> float:
    start = time.perf_counter()
    update()
    return time.perf_counter() - start


def peak(setting: Setting, work: Work) -> int:
    """Most bytes of tensors alive in the second update, when the moments stand."""
    as_written = replace(setting, changed=setting.changed | {"compile": False})
    if work.device != "cpu":
        update = arm(as_written, work)
        update()
        torch.cuda.reset_peak_memory_stats()
        update()
        return int(torch.cuda.max_memory_allocated())
    with LivePeak([]) as live:  # from the first tensor on: masters are read when the peak is over
        update = arm(as_written, work)
        update()
        update()
    return live.peak


def measure(settings: Sequence[Setting], work: Work, arguments: Namespace) -> tuple[list[Row], list[list[float]]]:
    """All settings in turn."""
    arms = [arm(setting, work) for setting in settings]
    first = [_seconds(update) for update in arms]
    turns = [[_seconds(update) for update in arms] for _ in range(arguments.repeats)]
    rows = [
        Row(
            setting=setting.name,
            seconds=statistics.median(turn[place] for turn in turns),
            ratio=statistics.median(turn[place] / turn[0] for turn in turns),
            first_seconds=first[place],
            peak_bytes=peak(setting, work),
        )
        for place, setting in enumerate(settings)
    ]
    return rows, turns


def tables(report: reporting.Row) -> str:
    """The table as Markdown."""
    return reporting.table(COLUMNS, report["rows"])


def charts(report: reporting.Row) -> list[reporting.Bars]:
    """Seconds and memory of every setting."""
    places = [_label(row["setting"]) for row in report["rows"]]
    return [
        reporting.Bars(
            title="One update",
            unit="seconds",
            places=places,
            series={"update": [row["seconds"] for row in report["rows"]]},
        ),
        reporting.Bars(
            title="Peak of live tensors",
            unit="MB",
            places=places,
            series={"update": [row["peak_bytes"] / 1e6 for row in report["rows"]]},
        ),
    ]


def _label(setting: str) -> str:
    """In narrow lines, without the sections' names."""
    keys = [each.partition(".")[2] or each for each in setting.split()]
    return "\n".join(fill(key.replace("_", " ").replace("=", " "), 14) for key in keys)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw it if asked."""
    parser = reporting.parser(
        "Seconds and memory of an update under each setting of the learner.", repeats=7, quick="two settings, tiny work"
    )
    arguments = reporting.parsed(parser, argv)
    torch.set_num_threads(arguments.threads)
    work = replace(scaling.BASE, device=arguments.device, steps=1000)
    settings: Sequence[Setting] = SETTINGS
    if arguments.quick:
        work, settings = replace(work, prompts=2, group=2, least=4, most=4), SETTINGS[:2]
    report = reporting.head("settings", arguments)
    rows, turns = measure(settings, work, arguments)
    report |= {"rows": [asdict(row) for row in rows], "details": {"work": asdict(work), "turns": turns}}
    print(tables(report), flush=True)
    reporting.write(report, arguments.json)
    reporting.draw(charts(report), arguments.picture)


if __name__ == "__main__":
    main()
