"""Seconds of each phase of an episode on a cluster, by what takes them: generate, verify, learn, sync.

Few constants stand for everything that is not counted, each fitted on the data it names (docs/scaling-out.md compares the
whole with what else was published). Left out are loading and preprocessing images, moving weights and moments to the
host and back, optimiser steps (a fraction of a second each), evaluation and checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from rethinker.planning.cluster import Cluster
from rethinker.planning.compute import (
    Step,
    decoding_operations,
    learning_operations,
    reading_operations,
    scoring_operations,
)
from rethinker.planning.shapes import Architecture
from rethinker.planning.work import Lengths, Work

ARITHMETIC_SHARE = 0.36
"""Share of a GPU's rate that learning and reading prompts reach (with `LAYER_SECONDS` fitted on two runs of EasyR1:
Qwen2.5-VL-7B on eight H100, 16.0 and 23.2 % of the peak with micro-batches of 4,096 and 16,384 tokens)."""
LAYER_SECONDS = 1.8e-3
"""Of one pass through one layer whatever its size: kernels to launch, shards to ask for (fitted with the above)."""
BANDWIDTH_SHARE = 0.71
"""Share of the memory's bandwidth that decoding reaches (fitted on 30.9 ms a token of Qwen2.5-72B in vLLM on two H100,
one row; tt-inference-server #143)."""
MOST_ROWS = 1024
"""Rows that an engine decodes at once at most: vLLM's default on large GPUs."""
USABLE = 0.9
"""Share of a GPU's memory that may be filled."""
VERIFY_SECONDS = 0.005
"""Of one response on one worker: an expression compared by math-verify."""

PIECES = 64
"""Steps in which decoding is added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Seconds of a phase by what takes them."""

    parts: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """All together."""
        return sum(self.parts.values())

    @property
    def bound(self) -> str:
        """What takes most of it."""
        return max(self.parts, key=lambda part: self.parts[part])


def generate(model: Architecture, work: Work, cluster: Cluster, *, held: float) -> Phase:
    """First looks, then second looks, on the replica with most to do; siblings stay on one replica.

    Args:
        held: Bytes on each GPU that are not the engine's: the learner's shards, where they take turns.
    """
    groups = ceil(work.queries / cluster.replicas)
    rows = groups * work.group_size
    reading = reading_operations(model, work.update, groups) / (
        cluster.tensor_parallel * cluster.gpu.speed(work.dtype) * ARITHMETIC_SHARE
    )
    parts = {"reading prompts": reading} | _decode(model, work, cluster, work.first, rows, work.responses, held)
    if work.look and work.looks:
        looks = max(1.0, work.looks / work.responses * rows)
        for part, seconds in _decode(model, work, cluster, work.look, looks, work.looks, held).items():
            parts[part] += seconds
    return Phase(parts=parts)


def room(model: Architecture, work: Work, cluster: Cluster, *, held: float) -> float:
    """Tokens whose keys and values a replica can hold; none or less where its weights do not fit."""
    weights = model.total.total * work.width
    free = cluster.tensor_parallel * (USABLE * cluster.gpu.memory - held) - weights
    return free / (2 * model.language.layers * model.language.keys * work.width)


def _decode(
    model: Architecture, work: Work, cluster: Cluster, lengths: Lengths, rows: float, everyone: float, held: float
) -> dict[str, float]:
    """Rows in excess wait for places; the last to be placed end one by one, down to the longest of all."""
    prompt, parallel = work.update.prompt_tokens, cluster.tensor_parallel
    places = room(model, work, cluster, held=held) / (prompt / work.group_size + lengths.age)
    together = min(rows, MOST_ROWS, max(1.0, places))
    per_step = _token_weights(model, work) / parallel / (cluster.gpu.bandwidth * BANDWIDTH_SHARE)
    per_step += cluster.summed(0.0, calls=2 * model.language.layers)
    waiting = (rows - together) * lengths.mean / together
    last = lengths.longest_of(everyone)
    piece = last / PIECES
    volume = waiting * _rows_seconds(model, work, cluster, together, prompt + lengths.age)
    for at in ((number + 0.5) * piece for number in range(PIECES)):
        volume += piece * _rows_seconds(model, work, cluster, max(1.0, together * lengths.longer(at)), prompt + at)
    return {"rows decoded": waiting * per_step + volume, "the longest response": last * per_step}


def _token_weights(model: Architecture, work: Work) -> float:
    """Bytes of weights that every decoded token reads, however many rows there are: the tower is not among them."""
    language = model.language
    return (language.layers * language.weights + model.vocabulary * language.width) * work.width


def _rows_seconds(model: Architecture, work: Work, cluster: Cluster, rows: float, context: float) -> float:
    """What a decoded token of so many rows takes beyond reading the weights."""
    language, gpu, parallel = model.language, cluster.gpu, cluster.tensor_parallel
    heads = max(1, language.heads * language.keys // language.queries)
    keys = 2 * language.layers * language.keys * work.width * context * rows / min(parallel, heads)
    reading = keys / (gpu.bandwidth * BANDWIDTH_SHARE)
    weights = _token_weights(model, work) / parallel / (gpu.bandwidth * BANDWIDTH_SHARE)
    operations = rows * decoding_operations(model, work.update)
    arithmetic = operations / (parallel * gpu.speed(work.dtype) * ARITHMETIC_SHARE)
    sums = cluster.summed(2 * language.layers * rows * language.width * work.width, calls=0)
    return reading + max(0.0, arithmetic - weights) + sums


def verify(work: Work, generating: float) -> Phase:
    """What is left to verify when the last response has ended: workers go on while others are written."""
    needed = (work.responses + work.looks) * VERIFY_SECONDS / work.verify_workers
    return Phase(parts={"verifying": max(VERIFY_SECONDS, needed - generating)})


def learn(model: Architecture, work: Work, cluster: Cluster) -> Phase:
    """All updates of an episode, and the forwards over it besides, on the rank with most to do.

    Units are a prompt and the responses that pass with it; a rank gets whole ones, and runs as many micro-batches as
    the rank that has most. While a micro-batch computes, the shards of the next layer are gathered.
    """
    update, ranks = work.update, cluster.ranks
    units = update.responses / work.together
    mine = ceil(units / ranks)
    unit_tokens = update.learned_tokens / units
    batches = ceil(mine / max(1, int(work.micro_batch_tokens // unit_tokens)))
    trained = 3 + work.checkpointed
    parts = {"arithmetic": 0.0, "too few groups for the ranks": 0.0, "network": 0.0, "launching": 0.0}
    for times, operations, passes, moved in (
        (1, learning_operations(model, update, checkpointed=work.checkpointed), trained, _moved(model, work)),
        (work.scorings, scoring_operations(model, update), 1, model.total.total * work.width),
    ):
        even = operations / ranks / (cluster.gpu.speed(work.dtype) * ARITHMETIC_SHARE)
        computing = even * mine * ranks / units
        calls = _blocks(model) * (3 if passes > 1 else 1)
        moving = batches * cluster.ring(moved, ranks=ranks, calls=calls)
        launching = batches * passes * _blocks(model) * LAYER_SECONDS
        count = times * work.updates
        parts["arithmetic"] += count * even
        parts["too few groups for the ranks"] += count * (computing - even)
        parts["network"] += count * max(0.0, moving - computing)
        parts["launching"] += count * launching
    return Phase(parts=parts)


def _blocks(model: Architecture) -> int:
    return model.language.layers + (model.vision.layers if model.vision else 0)


def _moved(model: Architecture, work: Work) -> float:
    """Bytes of an update's micro-batch on each rank: weights forward and backward, and trained weights' gradients."""
    return 2 * model.total.total * work.width + model.total.trained * work.gradient_width


def sync(model: Architecture, work: Work, cluster: Cluster) -> Phase:
    """New weights to every engine: gathered from the shards, and where engines are apart, sent to them in a chain."""
    weights = model.total.total * work.width
    seconds = cluster.ring(weights, ranks=cluster.gpus, calls=_blocks(model))
    return Phase(parts={"network": seconds})


