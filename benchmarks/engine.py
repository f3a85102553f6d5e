"""Tokens a second of our engine beside Hugging Face's `generate`, and beside vLLM where there is one.

    python benchmarks/engine.py --json OUT --picture OUT [--quick] [--repeats N] [--threads N] [--vllm-python PATH]
                                [--device cuda --model 3B]

16 prompts × G responses, sampled at temperature 1, each with a length of its own, drawn uniformly from 16 to 128
tokens, another every step; every arm returns exactly these lengths, and only tokens returned are counted. Each arm is
a process of its own (`engine_arms.py`, `engine_vllm.py`); they step in turn, after one step each that is not counted.
Tokens a second are medians; ratios are medians of pairs, above 1 where ours is faster. Where `generate` has two arms
(dynamic and static cache, on a GPU), the faster is compared with.

vLLM is run by the interpreter that `--vllm-python` names, in whose environment nothing else of this is needed.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import reporting
from turns import Trace, Worker, in_turn
from work import Work, pictures, prompt_length, rendered

GROUPS = (1, 8, 16)
BASE = Work(least=16, most=128)
QUICK = Work(prompts=2, group=2, least=2, most=6)
TARGETS = {8: 2.0}
"""Ratio to `generate` to reach, by G."""

COLUMNS = (
    reporting.Column(head="model", key="model"),
    reporting.Column(head="G", key="group"),
    reporting.Column(head="ours tokens/s", key="ours_tokens_per_s", digits=0),
    reporting.Column(head="`generate` tokens/s", key="generate_tokens_per_s", digits=0),
    reporting.Column(head="ratio", key="ratio", digits=2),
    reporting.Column(head="to reach", key="target"),
    reporting.Column(head="vLLM tokens/s", key="vllm_tokens_per_s", digits=0),
    reporting.Column(head="ratio to vLLM", key="vllm_ratio", digits=2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        generate_arm: Which arm of `generate` was the faster.
        vllm_tokens_per_s: None where vLLM was not run.
    """

    model: str
    group: int
    ours_tokens_per_s: float
    generate_tokens_per_s: float
    generate_arm: str
    ratio: float
    target: float | None
    vllm_tokens_per_s: float | None
    vllm_ratio: float | None


def compare(work: Work, arguments: Namespace) -> dict[str, Trace]:
    """All arms of one case in turn."""
    names = ["ours", "generate", *(["generate-static"] if work.device != "cpu" else [])]
    starts = {name: partial(Worker, "engine_arms.py", name, work.stated(), threads=work.threads) for name in names}
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.vllm_python:
            file = for_vllm(work, Path(scratch), steps=arguments.repeats + 1)
            starts["vllm"] = partial(
                Worker, "engine_vllm.py", "vllm", str(file), threads=work.threads, python=arguments.vllm_python
            )
        traces = in_turn(list(starts.values()), repeats=arguments.repeats, case=f"{work.model}, G {work.group}")
    return dict(zip(starts, traces, strict=True))


def for_vllm(work: Work, folder: Path, *, steps: int) -> Path:
    """Write what vLLM's arm reads; weights of a random model are its own to make, since only their shapes count."""
    import shapes
    from rethinker.models.tiny import TINY_FOLDER

    random = work.model != "tiny"
    processor = shapes.processor()
    problems = work.problems(processor)
    if random:
        shapes.config(work.model, processor).save_pretrained(folder)
        processor.save_pretrained(folder)
    file = folder / "work.json"
    stated = {
        "folder": str(folder if random else TINY_FOLDER),
        "random": random,
        "dtype": work.dtype,
        "most_tokens": max(prompt_length(each, processor) for each in problems) + work.most,
        "prompts": [
            {"text": rendered(each, processor), "images": _saved(pictures(each), folder / str(number))}
            for number, each in enumerate(problems)
        ],
        "lengths": [work.lengths(number) for number in range(steps)],
    }
    file.write_text(json.dumps(stated), encoding="utf-8")
    return file


def _saved(images: Sequence[Any], folder: Path) -> list[str]:
    """Names of the files that hold some images."""
    folder.mkdir()
    names = [str(folder / f"{number}.png") for number in range(len(images))]
    for name, image in zip(names, images, strict=True):
        image.save(name)
    return names


def row(work: Work, traces: dict[str, Trace]) -> Row:
    """Medians and medians of the paired ratios, ours to each."""
    rates = {name: [step.tokens / step.seconds for step in trace.steps] for name, trace in traces.items()}
    medians = {name: statistics.median(each) for name, each in rates.items()}
    theirs = max((name for name in rates if name.startswith("generate")), key=lambda name: medians[name])

    def ratio(name: str) -> float:
        return statistics.median(own / other for own, other in zip(rates["ours"], rates[name], strict=True))

    return Row(
        model=work.model,
        group=work.group,
        ours_tokens_per_s=medians["ours"],
        generate_tokens_per_s=medians[theirs],
        generate_arm=theirs,
        ratio=ratio(theirs),
        target=TARGETS.get(work.group) if work.model == "tiny" else None,
        vllm_tokens_per_s=medians.get("vllm"),
        vllm_ratio=ratio("vllm") if "vllm" in rates else None,
    )


def details(work: Work, traces: dict[str, Trace]) -> dict[str, Any]:
    """What stands behind a row."""
    return {
        "work": asdict(work),
        "prompt_tokens": [len(ids) for ids in traces["ours"].ready.prompts],
        "arms": {
            name: {
                "seconds": [step.seconds for step in trace.steps],
                "tokens": [step.tokens for step in trace.steps],
                "peak_bytes": max(step.peak_bytes for step in trace.steps),
                "loaded_bytes": trace.ready.loaded_bytes,
            }
            for name, trace in traces.items()
        },
    }


def tables(report: reporting.Row) -> str:
    """The table as Markdown."""
    return reporting.table(COLUMNS, report["rows"])


def charts(report: reporting.Row) -> list[reporting.Bars]:
    """Tokens a second of every arm."""
    rows = report["rows"]
    series = {"ours": "ours_tokens_per_s", "generate": "generate_tokens_per_s", "vLLM": "vllm_tokens_per_s"}
    return [
        reporting.Bars(
            title="Responses of unequal length",
            unit="tokens a second",
            places=[f"{row['model']}, G {row['group']}" for row in rows],
            series={
                name: [row[key] for row in rows]
                for name, key in series.items()
                if any(row[key] is not None for row in rows)
            },
            notes=[f"{row['ratio']:.2f}× generate" for row in rows],
        )
    ]


def cases(arguments: Namespace) -> list[Work]:
    """The work of every case."""
    base = QUICK if arguments.quick else BASE
    given = replace(
        base,
        model=arguments.model,
        device=arguments.device,
        dtype="float32" if arguments.device == "cpu" else "bfloat16",
        threads=arguments.threads,
        steps=arguments.repeats + 1,
    )
    return [given] if arguments.quick else [replace(given, group=group) for group in arguments.group or GROUPS]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw it if asked."""
    parser = reporting.parser(
        "Tokens a second of our engine beside generate and vLLM.", repeats=7, quick="a tiny batch"
    )
    parser.add_argument("--model", default="tiny", help="tiny, or a shape with random weights: toy, 3B, 7B")
    parser.add_argument("--group", type=int, action="append", help="only these G")
    parser.add_argument("--vllm-python", metavar="PATH", help="an interpreter that can import vllm")
    arguments = reporting.parsed(parser, argv)
    report = reporting.head("engine", arguments)
    found = [(work, compare(work, arguments)) for work in cases(arguments)]
    rows = [asdict(row(work, traces)) for work, traces in found]
    report |= {"rows": rows, "details": [details(*each) for each in found]}
    print(tables(report), flush=True)
    reporting.write(report, arguments.json)
    reporting.draw(charts(report), arguments.picture)


if __name__ == "__main__":
    main()
