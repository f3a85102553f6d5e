"""Write `docs/scaling-out.md` from results and the model itself: `python -m scripts.write_scaling_docs`.

No result on that page is typed by hand, and a test compares the page with what this makes.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

from scripts.write_performance_docs import benchmark, measured_on, result

from rethinker.commands.plan import learner_memory, plan_of, shape
from rethinker.commands.plan_cluster import Hardware, Layout, cluster_of, verdict, work_of
from rethinker.config_files import load
from rethinker.planning.efficiency import PUBLISHED
from rethinker.planning.gpus import GPUS
from rethinker.planning.scaling_out import sweep

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scaling-out.md"
RECIPES = ROOT / "recipes"

processes, published_runs, reporting = (benchmark(name) for name in ("processes", "published_runs", "reporting"))

INTRODUCTION = """\
# A step on many GPUs

    rethinker plan recipes/paper-stage1.yaml recipes/paper-7b.yaml --gpus 64
    rethinker plan … --gpus 64 --gpu A800-80 --tensor-parallel 8 --engine-gpus 32 --staleness 1

With more than one GPU the plan models a step: what it takes at N GPUs, phase by phase, then at 8, 16, … 4,096, and the
first size whose double is less than 1.3 times as fast, with what holds it back. Seconds are of one update with its
share of its episode; tokens a second and GPU count the prompt of every response, as EasyR1 does. Lengths are taken as
uniform up to the recipe's limits. This page is written by `python -m scripts.write_scaling_docs`.

- `--gpu KIND`: a kind of the table below (default H100); `--memory` overrides what it has.
- `--tensor-parallel T`: GPUs of one engine; by default the fewest that leave 60 % of their memory free of weights.
- `--engine-gpus E`: GPUs that only generate; by default engines and the learner take turns on all.
- `--staleness K`: from 1 on generation goes on during the updates, and the longer of both counts. It needs
  `--engine-gpus`.

| what is wrong | what the command says |
|---|---|
| a kind that is not in the table | the kinds that are |
| more than 4,096 GPUs; no whole number of nodes | the limit; the sizes next to it |
| `--tensor-parallel` divides no node, not the GPUs that generate, or not the model's heads | which, and what would |
| as many `--engine-gpus` as GPUs; `--staleness` without any | what to give |
| shards, an engine or one long response do not fit | said at N; left out of the table of sizes |

## What is counted

- *prepare*: images that GPUs wait for. None here: they are prepared ahead, and an episode lasts at least as long.
- *generate*: the replica with most groups, since siblings stay together. Prompts are read (arithmetic); every token
  reads the weights and all rows' keys from memory, and is summed over the GPUs of its replica. Weights and shards leave
  room for so many rows at once, 1,024 at most; rows end one by one, down to the *longest response* of all, which no
  number of GPUs shortens. Then the same for second looks.
- *verify*: what the workers (`verifier.workers`) have not done when the last response ends.
- *learn*: the rank with most groups. Operations of forward, backward and recomputation, prompts shared; a forward for
  the learner's own log-probs, and one for a reference; a cost of each pass through a layer (*launching*); shards
  gathered twice and gradients scattered once in each micro-batch, over the slowest link of a ring, as far as that takes
  longer than the arithmetic (*network*). *Too few groups* are ranks that wait for others: what passes with one copy of
  a prompt is not divided. Larger updates, or a `learner.micro_batch_tokens` below a group's length, make more of it.
- *sync*: weights gathered from the shards.

Not counted: moving weights and moments to the host and back, optimiser steps, evaluation, checkpoints, failures, and
networks that others use too.
"""

PUBLISHED_TEXT = """\
## Beside what was published

EasyR1 on geometry3k ([its table](https://github.com/hiyouga/EasyR1/blob/main/assets/baselines.md), versions 0.3.0 and
0.3.2): 512 prompts × 5 responses in 4 updates, prompts not shared, a reference, engines and learner on the same eight
GPUs. A prompt is assumed to be 450 tokens (334 are the least that its `min_pixels` makes of an image); the mean
response follows from tokens a second and seconds; the longest is its limit of 2,048. MFU is of the update alone.

{easyr1}

The two runs marked *fitted* say what the learner's constants and an image cost, so that 145 and 120 s a step are no
test. The others are: the learner's MFU is within {learner:.0%}, seconds of a step within {newest:.0%} for version 0.3.2
and within {worst:.0%} for 0.3.0, which is predicted too fast throughout: what 0.3.2 made faster is not modelled.
Generation is little of these steps, so they test it little.

The paper's 72B took about 60 hours on 64 A800 ([arXiv 2504.08837](https://arxiv.org/abs/2504.08837)): 1,024 queries × 8
responses an episode, 16 updates each. It tells neither lengths nor the number of updates. Assumed are prompts of 1,024
tokens, not shared, one response in a micro-batch, and engines of 8 GPUs.

{paper}

No reading meets it: the model is {least:.0%} to {most:.0%} below. In 60 hours the learning of all {few} updates with
the longer responses would take {low:.1%} of the GPUs' rate, that of {many} updates {high:.1%}, where EasyR1's learner
reaches 6 to 27 %. The model describes a tuned system: take its hours for a lower bound.
"""

PROCESSES_TEXT = """\
## Beside processes on one machine

    python benchmarks/processes.py --json docs/results/processes.json

An update of the embedded model's language part ({rows} responses of {response} tokens to prompts of {prompt}), sharded
by FSDP2 over gloo, one thread a process. The learner's two constants are fitted on one process; 2 and 4 are predicted
from them and from the rates measured in as many processes at once. Nothing overlaps: the same cores compute and move.

{measured} Load when it began: {load:.1f} on {cores} cores; what others ran slows processes that wait for one another
more than it slows matrix products, and counts as error here.

{tables}
"""

SWEPT = (("7B on H100", "7b", "H100", 8), ("72B on A800", "72b", "A800-80", 64))
"""Title, recipe, kind and GPUs of what is swept."""


def document() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, _kinds(), _constants(), _published(), _processes(), _recipes()])


def _table(heads: dict[str, str], rows: list[dict[str, str]]) -> str:
    columns = [reporting.Column(head=head, key=key) for key, head in heads.items()]
    shown: str = reporting.table(columns, rows)
    return shown


def _kinds() -> str:
    units = {"rate": 1e12, "memory": 1e9, "bandwidth": 1e12, "inside": 1e9, "between": 1e9, "node": 1}
    rows = [
        {"kind": name, **{key: f"{asdict(gpu)[key] / unit:.4g}" for key, unit in units.items()}}
        for name, gpu in GPUS.items()
    ]
    heads = {
        "kind": "kind",
        "rate": "bf16, TFLOP/s",
        "memory": "memory, GB",
        "bandwidth": "its bandwidth, TB/s",
        "inside": "inside a node, GB/s",
        "between": "between nodes, GB/s",
        "node": "GPUs of a node",
    }
    of_one = "Of one GPU, links in one direction, as vendors state them (`planning/gpus.py` says where)."
    return f"## Kinds of GPUs\n\n{of_one}\n\n{_table(heads, rows)}\n"


def _constants() -> str:
    fitted = "EasyR1's two runs marked below"
    rows = [
        ("share of the stated rate", f"{PUBLISHED.arithmetic:.0%}", f"MFU of {fitted}"),
        ("a pass through a layer, whatever its size", f"{1e3 * PUBLISHED.layer_seconds:.1f} ms", f"MFU of {fitted}"),
        ("an image that becomes patches", f"{1e3 * PUBLISHED.image:.0f} ms", f"seconds of {fitted}"),
        (
            "share of memory bandwidth, decoding",
            f"{PUBLISHED.bandwidth:.0%}",
            "30.9 ms a token, one row of Qwen2.5-72B in vLLM on two H100 (tt-inference-server #143)",
        ),
        ("share of a link", f"{PUBLISHED.link:.0%}", "360 of 450 GB/s on eight H100 (nccl-tests #326)"),
        ("a hop of a ring", f"{1e6 * PUBLISHED.hop:.1f} µs", "NCCL's tuning table, LL128"),
        ("a verdict", f"{1e3 * PUBLISHED.verdict:.0f} ms", "measured: math-verify on fractions with roots"),
    ]
    heads = {"what": "constant", "value": "value", "source": "from"}
    return f"## What is fitted\n\n{_table(heads, [dict(zip(heads, row, strict=True)) for row in rows])}\n"


def _published() -> str:
    (easyr1, paper), (easyr1_table, paper_table) = published_runs.rows(), published_runs.tables()
    free = [row for row in easyr1 if row["error"] != "fitted"]

    def worst(predicted: str, published: str, version: str = "") -> float:
        rows = [row for row in free if row["what"].startswith(version)]
        return max(abs(row[predicted] / row[published] - 1) for row in rows)

    below = [1 - row["predicted_h"] / row["hours"] for row in paper]
    shares = {row["steps"]: row["share"] for row in paper}
    return PUBLISHED_TEXT.format(
        easyr1=easyr1_table,
        paper=paper_table,
        learner=worst("predicted_mfu", "mfu"),
        newest=worst("predicted_s", "seconds", "0.3.2"),
        worst=worst("predicted_s", "seconds"),
        least=min(below),
        most=max(below),
        few=min(shares),
        low=shares[min(shares)],
        many=max(shares),
        high=shares[max(shares)],
    )


def _processes() -> str:
    report = result("processes")
    if report is None:
        return "## Beside processes on one machine\n\n*Not measured yet.*\n"
    return PROCESSES_TEXT.format(
        rows=processes.ROWS,
        response=processes.RESPONSE,
        prompt=processes.PROMPT,
        measured=measured_on(report),
        tables=processes.tables(report),
        load=report["machine"]["load_average"],
        cores=report["machine"]["cores"],
    )


def _recipes() -> str:
    parts = ["## The paper's recipes\n", "Stage 2 as it stands, but for 64 workers that verify (`verifier.workers`).\n"]
    for title, size, kind, gpus in SWEPT:
        asked = Hardware(kind=kind, gpus=gpus, gigabytes=None, tensor_parallel=0, engine_gpus=0, staleness=0)
        parts += [f"### {title}\n", _swept(size, asked)]
    return "\n".join(parts)


def _swept(size: str, asked: Hardware) -> str:
    files = [RECIPES / f"paper-{name}.yaml" for name in ("stage1", "stage2", size)]
    config = load(files, ["verifier.workers=64"])
    model = shape(config)
    laid = Layout(
        kind=asked.kind,
        model=model,
        work=work_of(config, plan_of(config, model, gpus=asked.gpus).step),
        cluster=cluster_of(config, model, asked),
        learner=partial(learner_memory, config, model),
    )
    times = sweep(laid.at)
    rows = [
        {
            "gpus": f"{each.cluster.gpus:,}",
            "seconds": f"{each.step_seconds:,.2f}",
            "throughput": f"{each.throughput:,.0f}",
            "share": f"{each.throughput / times[0].throughput:.0%}",
            "bound": each.bound,
        }
        for each in times
    ]
    heads = {
        "gpus": "GPUs",
        "seconds": "seconds",
        "throughput": "tokens/s/GPU",
        "share": "of the first",
        "bound": "most is",
    }
    return f"{_table(heads, rows)}\n\nIt {verdict(times)}.\n"


if __name__ == "__main__":
    PAGE.write_text(document(), encoding="utf-8")
