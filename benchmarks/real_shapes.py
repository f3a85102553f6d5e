"""The learner and the engine at the real shapes of Qwen2.5-VL, random weights in bf16: beside trl and `generate`.

    python benchmarks/real_shapes.py --device cuda --json OUT --picture OUT [--model 3B …] [--repeats N] [--toy]

Prompts of 1,200 tokens, 1,024 of them an image; 8 responses of 500 tokens to each. Weights are made on the device with
the published widths (`shapes.py`), so that nothing is fetched; both arms hold them, their gradients and AdamW's moments
in bf16. `--toy` takes the very same path at toy width, so that it runs anywhere; rates then mean nothing.

*Learner.* Responses are given, and timed is what is left of a step: forward, backward, clipping and AdamW
(`arms.py`, `trl_arm.py`). Each arm runs alone, for two learners of 7B do not fit one GPU, and at its fastest setting
of those tried here: how much passes at once, and recomputation of activations only where nothing fits without.

- tokens/s, as G(P+R): every response counted with its prompt, which is what a learner without sharing has to pass;
- tokens/s, passed: tokens that really passed the language model;
- MFU: operations of the tokens that really passed, tower included, a shared prompt once, nothing computed twice
  (`flops.minimum`), over seconds and the chip's stated dense bf16 rate; none where the chip is not known.

*Engine.* As `engine.py`, at these shapes, with lengths of 60 to 500.
"""

from __future__ import annotations

import statistics
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import engine
import flops
import machine
import reporting
import shapes
from rethinker.chips import chip_rate
from turns import OutOfMemoryError, Trace, Worker, in_turn
from work import Work, grids, prompt_length

TARGETS = {"3B": 0.45}
"""MFU to reach."""
RATIO = 2.0
"""Times trl's speed to reach."""

LEARNER = Work(
    dtype="bfloat16", prompts=8, group=8, prompt_tokens=1200, image_tokens=1024, least=500, most=500, given=True
)
ENGINE = replace(LEARNER, least=60, given=False)
AT_ONCE: dict[str, list[dict[str, Any]]] = {
    "ours": [{"micro_batch_tokens": tokens} for tokens in (32_768, 16_384, 8_192)],
    "trl": [{"rows": rows} for rows in (16, 8, 4, 2)],
}
"""What may pass each learner at once."""

TOY = {"model": "toy", "dtype": "float32", "prompts": 2, "group": 2, "prompt_tokens": 64, "image_tokens": 16}
TOY_AT_ONCE: dict[str, list[dict[str, Any]]] = {"ours": [{"micro_batch_tokens": 4096}], "trl": [{"rows": 2}]}

COLUMNS = (
    reporting.Column(head="model", key="model"),
    reporting.Column(head="learner", key="arm"),
    reporting.Column(head="update s", key="seconds", digits=3),
    reporting.Column(head="tokens/s, as G(P+R)", key="full_tokens_per_s", digits=0),
    reporting.Column(head="tokens/s, passed", key="passed_tokens_per_s", digits=0),
    reporting.Column(head="MFU %", key="mfu", unit=0.01, digits=1),
    reporting.Column(head="peak GB", key="peak_bytes", unit=1e9, digits=1),
    reporting.Column(head="at once", key="at_once"),
    reporting.Column(head="times trl's speed", key="ratio", digits=2),
    reporting.Column(head="to reach", key="target"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the learner's table.

    Attributes:
        flops: Operations of the tokens that passed, nothing computed twice.
        mfu: A share; None where the chip's rate is not known.
        at_once: What passed at once, in words.
        ratio: trl's seconds over this arm's; None on trl's own line and where trl is absent.
    """

    model: str
    arm: str
    seconds: float
    full_tokens_per_s: float
    passed_tokens_per_s: float
    passed_tokens: int
    flops: int
    mfu: float | None
    peak_bytes: int
    loaded_bytes: int
    at_once: str
    ratio: float | None
    target: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An arm's best setting, what it said, and seconds of every setting tried (None: it did not fit)."""

    work: Work
    trace: Trace
    tried: dict[str, float | None]


def said(work: Work, arm: str) -> str:
    """What passes at once, in words."""
    at_once = f"{work.micro_batch_tokens:,} tokens" if arm == "ours" else f"{work.rows} rows"
    return at_once + (", recomputed" if work.checkpointing else "")


def fastest(arm: str, work: Work, arguments: Namespace) -> Run | None:
    """Try an arm's settings, without recomputation first; None where nothing fits."""
    settings: list[dict[str, Any]] = (TOY_AT_ONCE if arguments.quick else AT_ONCE)[arm]
    tried: dict[str, float | None] = {}
    runs = []
    for checkpointing in (False, True):
        for setting in settings:
            given = replace(work, checkpointing=checkpointing, **setting)
            trace = alone(arm, given, arguments.repeats)
            tried[said(given, arm)] = None if trace is None else _seconds(trace)
            if trace is not None:
                runs.append((given, trace))
        if runs:
            best, trace = min(runs, key=lambda run: _seconds(run[1]))
            return Run(work=best, trace=trace, tried=tried)
    return None


def alone(arm: str, work: Work, repeats: int) -> Trace | None:
    """Run one arm by itself; None where it does not fit the GPU's memory."""
    with tempfile.TemporaryDirectory() as scratch:
        start = partial(Worker, "arms.py", arm, replace(work, scratch=scratch).stated(), threads=work.threads)
        try:
            return in_turn([start], repeats=repeats, case=f"{work.model}, {said(work, arm)}")[0]
        except OutOfMemoryError:
            return None


def _seconds(trace: Trace) -> float:
    return statistics.median(step.seconds for step in trace.steps)


def row(arm: str, run: Run, gpu: str | None, trl: Run | None) -> Row:
    """What an arm's run amounts to."""
    work, seconds = run.work, _seconds(run.trace)
    passed = run.trace.steps[-1].passed_tokens
    operations = flops.total(arithmetic(arm, work, passed))
    rate = chip_rate(gpu) if work.device != "cpu" else None
    reach = f"{RATIO:g}×" + (f", {100 * TARGETS[work.model]:g} %" if work.model in TARGETS else "")
    return Row(
        model=work.model,
        arm=arm,
        seconds=seconds,
        full_tokens_per_s=work.prompts * work.group * (work.prompt_tokens + work.most) / seconds,
        passed_tokens_per_s=passed / seconds,
        passed_tokens=passed,
        flops=operations,
        mfu=operations / seconds / rate if rate else None,
        peak_bytes=max(step.peak_bytes for step in run.trace.steps),
        loaded_bytes=run.trace.ready.loaded_bytes,
        at_once=said(work, arm),
        ratio=_seconds(trl.trace) / seconds if arm == "ours" and trl else None,
        target=reach if arm == "ours" and work.model != "toy" else None,
    )


def arithmetic(arm: str, work: Work, passed: int) -> dict[str, int]:
    """Operations of what passed, by part: trl passes a prompt and its images with every response."""
    module, processor = shapes.parts(work.model, device="meta", dtype=work.dtype)
    groups = [
        flops.Grouped(
            prompt=prompt_length(asked, processor),
            grids=grids(asked, processor),
            responses=(work.most,) * work.group,
        )
        for asked in work.problems(processor)
    ]
    return flops.minimum(module, flops.apart(groups) if arm == "trl" else groups, tokens=passed)


def learners(work: Work, arguments: Namespace) -> tuple[list[Row], list[dict[str, Any]]]:
    """Both learners at one shape, each at its fastest; trl only where it is installed."""
    gpu = machine.gpu_model()
    runs = {"ours": fastest("ours", work, arguments)}
    if machine.installed("trl"):
        runs["trl"] = fastest("trl", work, arguments)
    held = {arm: run for arm, run in runs.items() if run}
    rows = [row(arm, run, gpu, held.get("trl")) for arm, run in held.items()]
    behind = [
        {
            "arm": arm,
            "work": asdict(run.work),
            "seconds": [step.seconds for step in run.trace.steps],
            "passed_tokens": [step.passed_tokens for step in run.trace.steps],
            "arithmetic": arithmetic(arm, run.work, run.trace.steps[-1].passed_tokens),
            "tried": run.tried,
        }
        for arm, run in held.items()
    ]
    return rows, behind


def tables(report: reporting.Row) -> str:
    """Both tables as Markdown: learner, engine."""
    return "\n\n".join([reporting.table(COLUMNS, report["rows"]), engine.tables({"rows": report["engine"]})])


def charts(report: reporting.Row) -> list[reporting.Bars]:
    """Speed and memory of both learners, and tokens a second of the engines."""
    models = list(dict.fromkeys(each["model"] for each in report["rows"]))
    arms = list(dict.fromkeys(each["arm"] for each in report["rows"]))
    by_both = {(each["model"], each["arm"]): each for each in report["rows"]}

    def series(key: str, unit: float) -> dict[str, list[float | None]]:
        return {
            arm: [by_both[model, arm][key] / unit if (model, arm) in by_both else None for model in models]
            for arm in arms
        }

    return [
        reporting.Bars(
            title="Learner", unit="tokens a second, as G(P+R)", places=models, series=series("full_tokens_per_s", 1)
        ),
        reporting.Bars(title="Learner, peak memory", unit="GB", places=models, series=series("peak_bytes", 1e9)),
        *engine.charts({"rows": report["engine"]}),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure both parts, print the tables, and write and draw them if asked."""
    parser = reporting.parser(
        "Learner and engine at the real shapes of Qwen2.5-VL, beside trl and generate.", repeats=5, quick="toy width"
    )
    parser.add_argument("--toy", dest="quick", action="store_true", help="the same at toy width, on any machine")
    parser.add_argument("--model", action="append", help="only these shapes (3B and 7B)")
    parser.add_argument("--vllm-python", metavar="PATH", help="an interpreter that can import vllm")
    arguments = reporting.parsed(parser, argv)
    shared = {"device": arguments.device, "threads": arguments.threads, "steps": arguments.repeats + 1}
    report = reporting.head("real_shapes", arguments) | {"rows": [], "engine": [], "details": []}
    for model in ["toy"] if arguments.quick else arguments.model or ["3B", "7B"]:
        small = TOY | {"least": 8, "most": 8} if arguments.quick else {"model": model}
        rows, behind = learners(replace(LEARNER, **shared, **small), arguments)
        sampled = replace(ENGINE, **shared, **(small | ({"least": 2} if arguments.quick else {})))
        traces = engine.compare(sampled, arguments)
        report["rows"] += [asdict(each) for each in rows]
        report["engine"].append(asdict(engine.row(sampled, traces)))
        report["details"].append({"model": model, "learner": behind, "engine": engine.details(sampled, traces)})
        reporting.write(report, arguments.json)
    print(tables(report), flush=True)
    reporting.draw(charts(report), arguments.picture)


if __name__ == "__main__":
    main()
