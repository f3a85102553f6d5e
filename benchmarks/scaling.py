"""What an update costs as its work grows, beside the arithmetic that it cannot do without.

    python benchmarks/scaling.py --json OUT --picture OUT [--quick] [--repeats N] [--threads N] [--device cuda]

The base is 16 prompts × 8 responses × 48 tokens of the embedded model, the prompts gym problems as they are. One of
responses per prompt, prompt length, response length and vocabulary grows at a time; where prompts have a set length
they are filled up with digits, and where the vocabulary grows the weights are random. An update is what
`PolicyLearner.update` does: forward, backward, clipping and AdamW. Two floors stand beside it, in seconds at the
matrix rate of this machine:

- *counted*: the operations that really ran, counted by torch as they are dispatched (`flops.counted`);
- *minimum*: those that no learner can do without (`flops.minimum`): every token once, attention only where a token
  sees another, the output layer at response tokens alone, nothing computed twice.

The matrix rate is that of a square product (512³ in float32 on a CPU, 8192³ in bf16 on a GPU), measured before every
update, in turn with it; the ratio is the median of the pairs. Such a product is the machine at its best. The rate of
products of the model's own sizes, which are thinner, and the ratio to it are stated too.
"""

from __future__ import annotations

import statistics
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

import arms
import flops
import reporting
import shapes
import yardstick
from passed import Passed
from rethinker.learner.learner import PolicyLearner
from rethinker.types import Experience
from work import Work, experiences, grids

TARGET = 2.0
BASE = Work(least=48, most=48, given=True)
IMAGE_TOKENS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measurement: what grows, how far, and the work."""

    varied: str
    value: int
    work: Work
    vocabulary: int = 0


def points() -> list[Point]:
    """The base first, then one sweep after the other."""
    filled = replace(BASE, image_tokens=IMAGE_TOKENS)
    return [
        Point(varied="base", value=BASE.group, work=BASE),
        *(Point(varied="responses", value=n, work=replace(BASE, group=n)) for n in (1, 2, 4, 8, 16)),
        *(Point(varied="prompt", value=n, work=replace(filled, prompt_tokens=n)) for n in (64, 128, 256, 512, 1024)),
        *(Point(varied="response", value=n, work=replace(BASE, least=n, most=n)) for n in (16, 48, 96, 192, 384)),
        *(
            Point(varied="vocabulary", value=n, work=replace(BASE, model="toy"), vocabulary=n)
            for n in (512, 8_192, 32_768, 151_936)
        ),
    ]


def quick() -> list[Point]:
    """A point of every kind, as small as may be."""
    small = replace(BASE, prompts=2, group=2, least=4, most=4)
    filled = replace(small, prompt_tokens=64, image_tokens=IMAGE_TOKENS)
    return [
        Point(varied="base", value=2, work=small),
        Point(varied="responses", value=2, work=small),
        Point(varied="prompt", value=64, work=filled),
        Point(varied="response", value=4, work=small),
        Point(varied="vocabulary", value=1024, work=replace(small, model="toy"), vocabulary=1024),
    ]


VARIED = {
    "responses": "responses to a prompt",
    "prompt": "tokens of a prompt",
    "response": "tokens of a response",
    "vocabulary": "size of the vocabulary",
}

COLUMNS = (
    reporting.Column(head="varied", key="varied"),
    reporting.Column(head="value", key="value", digits=0),
    reporting.Column(head="update s", key="seconds", digits=3),
    reporting.Column(head="tokens/s", key="tokens_per_s", digits=0),
    reporting.Column(head="counted GFLOP", key="counted_flops", unit=1e9, digits=1),
    reporting.Column(head="minimum GFLOP", key="minimum_flops", unit=1e9, digits=1),
    reporting.Column(head="matrix rate GFLOP/s", key="matrix_rate", unit=1e9, digits=0),
    reporting.Column(head="÷ counted floor", key="ratio", digits=2),
    reporting.Column(head="÷ minimum", key="ratio_to_minimum", digits=2),
    reporting.Column(head="÷ counted at the model's own sizes", key="ratio_at_own_sizes", digits=2),
    reporting.Column(head="to reach", key="target"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        tokens_per_s: Of tokens that pass the language model.
        own_rate: Operations a second of products of the model's own sizes.
        ratio: Seconds over those of the counted operations at the matrix rate.
    """

    varied: str
    value: int
    seconds: float
    tokens_per_s: float
    passed_tokens: int
    counted_flops: int
    minimum_flops: int
    matrix_rate: float
    own_rate: float
    ratio: float
    ratio_to_minimum: float
    ratio_at_own_sizes: float
    target: float | None


def measure(point: Point, arguments: Namespace) -> tuple[Row, dict[str, Any]]:
    """Time the updates of one point; beside its row, what stands behind it."""
    dtype = "float32" if arguments.device == "cpu" else "bfloat16"
    work = replace(point.work, device=arguments.device, dtype=dtype, steps=arguments.repeats + 3)
    vlm = shapes.load(work.model, device=work.device, dtype=dtype, vocabulary=point.vocabulary)
    problems = work.problems(vlm.processor)
    prompts = [vlm.encode(each, "plain") for each in problems]
    given = [[work.given_ids(number, sample) for sample in range(work.group)] for number in range(work.prompts)]
    chosen = [each for prompt, ids in zip(prompts, given, strict=True) for each in experiences(prompt, ids)]
    learner = arms.learner(vlm, work)
    learner.update(chosen)
    with Passed(vlm.module) as passed:
        counted = flops.counted(lambda: learner.update(chosen))
    groups = [
        flops.Grouped(
            prompt=len(prompt.token_ids), grids=grids(asked, vlm.processor), responses=(work.most,) * work.group
        )
        for asked, prompt in zip(problems, prompts, strict=True)
    ]
    minimum = flops.minimum(vlm.module, groups, tokens=flops.least_tokens(groups))
    pairs = [_timed(learner, chosen, work) for _ in range(arguments.repeats + 1)][1:]
    share = max(1, passed.forwards)
    products = flops.products(
        vlm.module,
        tokens=passed.trained_tokens // share,
        patches=sum(group.patches for group in groups) // share,
        answered=work.prompts * work.group * work.most // share,
    )
    own = yardstick.matrix_rate(products, device=work.device, dtype=getattr(torch, dtype))
    ran, seconds = flops.total(counted), statistics.median(each for each, _ in pairs)
    row = Row(
        varied=point.varied,
        value=point.value,
        seconds=seconds,
        tokens_per_s=passed.trained_tokens / seconds,
        passed_tokens=passed.trained_tokens,
        counted_flops=ran,
        minimum_flops=flops.total(minimum),
        matrix_rate=statistics.median(rate for _, rate in pairs),
        own_rate=own,
        ratio=statistics.median(each * rate for each, rate in pairs) / ran,
        ratio_to_minimum=statistics.median(each * rate for each, rate in pairs) / flops.total(minimum),
        ratio_at_own_sizes=seconds * own / ran,
        target=TARGET if point.varied == "base" else None,
    )
    behind = {
        "varied": point.varied,
        "value": point.value,
        "work": asdict(work),
        "vocabulary": vlm.vocabulary,
        "prompt_tokens": [group.prompt for group in groups],
        "forwards": passed.forwards,
        "seconds": [each for each, _ in pairs],
        "matrix_rates": [rate for _, rate in pairs],
        "counted": counted,
        "minimum": minimum,
    }
    return row, behind


def _timed(learner: PolicyLearner, chosen: Sequence[Experience], work: Work) -> tuple[float, float]:
    """Seconds of one update, and the matrix rate just before it."""
    on_cpu = work.device == "cpu"
    size = 512 if on_cpu else 8192
    rate = yardstick.matrix_rate([(size, size, size)], device=work.device, dtype=getattr(torch, work.dtype), repeats=9)
    start = time.perf_counter()
    learner.update(chosen)
    if not on_cpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start, rate


def tables(report: reporting.Row) -> str:
    """The table as Markdown."""
    return reporting.table(COLUMNS, report["rows"])


def charts(report: reporting.Row) -> list[reporting.Lines]:
    """Seconds of an update and both floors, one chart for everything that grows."""
    sweeps = {varied: [row for row in report["rows"] if row["varied"] == varied] for varied in VARIED}
    return [
        reporting.Lines(
            title=f"One update, by {VARIED[varied]}",
            unit="seconds",
            over=VARIED[varied],
            at=[row["value"] for row in of_it],
            series={
                "update": [row["seconds"] for row in of_it],
                "counted operations at the matrix rate": [row["seconds"] / row["ratio"] for row in of_it],
                "fewest operations at the matrix rate": [row["seconds"] / row["ratio_to_minimum"] for row in of_it],
            },
        )
        for varied, of_it in sweeps.items()
        if of_it
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every point, print the table, and write and draw it if asked."""
    parser = reporting.parser(
        "Cost of an update as its work grows, beside the arithmetic floor.", repeats=7, quick="a tiny point each"
    )
    parser.add_argument("--varied", action="append", choices=["base", *VARIED], help="only these sweeps")
    arguments = reporting.parsed(parser, argv)
    torch.set_num_threads(arguments.threads)
    report = reporting.head("scaling", arguments)
    found = [
        measure(point, arguments)
        for point in (quick() if arguments.quick else points())
        if not arguments.varied or point.varied in arguments.varied
    ]
    rows = [asdict(row) for row, _ in found]
    report |= {"rows": rows, "details": [behind for _, behind in found]}
    print(tables(report), flush=True)
    reporting.write(report, arguments.json)
    reporting.draw(charts(report), arguments.picture)


if __name__ == "__main__":
    main()
