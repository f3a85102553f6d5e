"""Runs that others published, beside what the model of `rethinker plan --gpus` says of them.

    python benchmarks/published_runs.py

What was published, with what had to be assumed, stands in docs/results/published_runs.json. EasyR1 states seconds of a
step, tokens a second and GPU (prompts counted with every response) and the learner's share of the peak (six operations
for each weight of the language model and token); lengths of responses follow from the first two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import reporting
from reporting import Column
from rethinker.planning.architecture import read
from rethinker.planning.cluster import Cluster
from rethinker.planning.compute import Step
from rethinker.planning.gpus import gpu_kind
from rethinker.planning.scaling_out import EpisodeTime, episode_time
from rethinker.planning.shapes import Architecture
from rethinker.planning.work import Lengths, Work

FACTS = Path(__file__).parents[1] / "docs" / "results" / "published_runs.json"

SCORING_PASSES = 2
"""Of EasyR1: for the learner's own log-probs and for the reference."""
IMAGE_PASSES = 4
"""In which EasyR1 prepares the image of every response: in the engine, both of the above, and the update."""
ENGINE_SHARE = 0.6
"""Of a GPU's memory, EasyR1's `gpu_memory_utilization`; shards are on the host meanwhile."""


def easyr1(run: Mapping[str, Any]) -> dict[str, Any]:
    """One line: seconds of a step and the learner's share of the peak, published and predicted."""
    model, responses = shape(run["model"]), run["queries"] * run["group_size"]
    tokens = run["throughput"] * run["gpus"] * run["seconds"] / responses
    found = predicted(run, tokens - run["prompt_tokens"], scorings=SCORING_PASSES, prepared=IMAGE_PASSES)
    alone = predicted(run, tokens - run["prompt_tokens"], scorings=0, prepared=0).phases["learn"].seconds
    weights = model.language.layers * model.language.weights + 2 * model.vocabulary * model.language.width
    mfu = 100 * 6 * weights * tokens * responses / (run["gpus"] * gpu_kind(run["gpu"]).rate * alone)
    batches = (
        f"{run['micro_batch_rows']} rows" if "micro_batch_rows" in run else f"{run['micro_batch_tokens']:,} tokens"
    )
    return {
        "what": f"{run['version']}: {run['model']}, {run['gpu']}, {batches}"
        + (", bf16 gradients" if run["gradient_width"] == 2 else ""),
        "response": round(tokens - run["prompt_tokens"]),
        "mfu": run["mfu"],
        "predicted_mfu": mfu,
        "mfu_error": "fitted" if run.get("fitted") else percent(mfu / run["mfu"] - 1),
        "seconds": run["seconds"],
        "predicted_s": found.seconds,
        "throughput": run["throughput"],
        "predicted_throughput": found.throughput,
        "error": "fitted" if run.get("fitted") else percent(found.seconds / run["seconds"] - 1),
    }


def paper(run: Mapping[str, Any]) -> dict[str, Any]:
    """One line: hours of the whole run, published and predicted, under one reading of what it did."""
    found = predicted(run, run["response_tokens"], scorings=1, prepared=3)
    hours = run["steps"] * found.step_seconds / 3600
    return {
        "reading": run["reading"],
        "response": run["response_tokens"],
        "steps": run["steps"],
        "step_s": found.step_seconds,
        "hours": run["hours"],
        "predicted_h": hours,
        "error": percent(hours / run["hours"] - 1),
        "share": _share(run),
    }


def _share(run: Mapping[str, Any]) -> float:
    """Of the GPUs' rate that the learning of a whole run would take, in the hours that were published."""
    language, gpu = shape(run["model"]).language, gpu_kind(run["gpu"])
    tokens = run["queries"] * run["group_size"] / run["updates"] * (run["prompt_tokens"] + run["response_tokens"])
    operations = 6 * language.layers * language.weights * tokens * run["steps"]
    return operations / (run["gpus"] * gpu.rate * 3600 * run["hours"])


def predicted(run: Mapping[str, Any], response: float, *, scorings: int, prepared: int) -> EpisodeTime:
    """The model's answer for a run whose prompts are not shared.

    Args:
        response: Mean tokens of a response.
        prepared: Passes that prepare images anew.
    """
    responses = run["queries"] * run["group_size"]
    each = run["prompt_tokens"] + response
    update = Step(
        prompts=responses / run["updates"],
        prompt_tokens=run["prompt_tokens"],
        image_tokens=run["image_tokens"],
        responses=responses / run["updates"],
        response_tokens=round(response),
    )
    work = Work(
        queries=run["queries"],
        group_size=run["group_size"],
        updates=run["updates"],
        first=Lengths(mean=response, longest=run["longest"]),
        update=update,
        together=1,
        micro_batch_tokens=run.get("micro_batch_tokens") or round(run["micro_batch_rows"] * each) + 1,
        checkpointed=True,
        scorings=scorings,
        gradient_width=run["gradient_width"],
        verify_workers=run["gpus"],
        images_awaited=responses * prepared / run["gpus"],
    )
    gpu = gpu_kind(run["gpu"])
    cluster = Cluster(gpu=gpu, gpus=run["gpus"], tensor_parallel=run["tensor_parallel"])
    return episode_time(shape(run["model"]), work, cluster, held=(1 - ENGINE_SHARE) * gpu.memory)


@cache
def shape(size: str) -> Architecture:
    """The shape of a Qwen2.5-VL, all of it trained."""
    return read(f"Qwen/Qwen2.5-VL-{size}-Instruct", lambda _: None)


def percent(share: float) -> str:
    """A share of one, signed."""
    return f"{share:+.0%}"


def rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All lines of both tables."""
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    return [easyr1(run) for run in facts["easyr1"]], [paper(run) for run in facts["paper"]]


EASYR1 = (
    Column(head="EasyR1, eight GPUs", key="what"),
    Column(head="mean response", key="response"),
    Column(head="MFU, %", key="mfu", digits=1),
    Column(head="predicted", key="predicted_mfu", digits=1),
    Column(head="error", key="mfu_error"),
    Column(head="tokens/s/GPU", key="throughput", digits=0),
    Column(head="predicted", key="predicted_throughput", digits=0),
    Column(head="s a step", key="seconds", digits=0),
    Column(head="predicted", key="predicted_s", digits=0),
    Column(head="error", key="error"),
)
PAPER = (
    Column(head="if it was", key="reading"),
    Column(head="with responses of", key="response"),
    Column(head="updates", key="steps"),
    Column(head="s an update, predicted", key="step_s", digits=0),
    Column(head="hours, predicted", key="predicted_h", digits=1),
    Column(head="published", key="hours"),
    Column(head="error", key="error"),
)


def tables() -> Sequence[str]:
    """Both tables as Markdown."""
    first, second = rows()
    return reporting.table(EASYR1, first), reporting.table(PAPER, second)


if __name__ == "__main__":
    print("\n\n".join(tables()))
