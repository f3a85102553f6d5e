"""Seconds of each phase of an episode on a cluster, by what takes them: generate, verify, learn, sync.

Left out are moving weights and moments to the host and back, optimiser steps (a fraction of a second each), evaluation
and checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from rethinker.planning.cluster import Cluster
from rethinker.planning.compute import (
    decoding_operations,
    learning_operations,
    reading_operations,
    scoring_operations,
)
from rethinker.planning.shapes import Architecture
from rethinker.planning.work import Lengths, Work

MOST_ROWS = 1024
"""Rows that an engine decodes at once at most: vLLM's default on large GPUs."""
USABLE = 0.9
"""Share of a GPU's memory that may be filled."""
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


def prepare(work: Work, cluster: Cluster) -> Phase:
    """Images that are prepared while GPUs wait."""
    return Phase(parts={"images": work.images_awaited * cluster.efficiency.image})


def generate(model: Architecture, work: Work, cluster: Cluster, *, held: float) -> Phase:
    """First looks, then second looks, on the replica with most to do; siblings stay on one replica.

    Args:
        held: Bytes on each GPU that are not the engine's: the learner's shards, where they take turns.
    """
    groups = ceil(work.queries / cluster.replicas)
    rows = groups * work.group_size
    reading = reading_operations(model, work.update, groups) / (
        cluster.tensor_parallel * cluster.gpu.speed(work.dtype) * cluster.efficiency.arithmetic
    )
    tokens = room(model, work, cluster, held=held)
    first = _Rows(count=rows, everyone=work.responses, lengths=work.first, prefix=0)
    parts = {"reading prompts": reading} | _decode(model, work, cluster, first, tokens)
    if work.look and work.looks:
        count = max(1.0, work.looks / work.responses * rows)
        second = _Rows(count=count, everyone=work.looks, lengths=work.look, prefix=work.first.mean)
        for part, seconds in _decode(model, work, cluster, second, tokens).items():
            parts[part] += seconds
    return Phase(parts=parts)


def room(model: Architecture, work: Work, cluster: Cluster, *, held: float) -> float:
    """Tokens whose keys and values a replica can hold; none or less where its weights do not fit."""
    weights = model.total.total * work.width
    free = cluster.tensor_parallel * (USABLE * cluster.gpu.memory - held) - weights
    return free / (_token_bytes(model, work, cluster) * cluster.tensor_parallel)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """What a replica decodes, and how many rows all replicas do; `prefix` tokens stand in each row already."""

    count: float
    everyone: float
    lengths: Lengths
    prefix: float


def _decode(model: Architecture, work: Work, cluster: Cluster, rows: _Rows, tokens: float) -> dict[str, float]:
    """Rows in excess wait for places; the last to be placed end one by one, down to the longest of all.

    Args:
        tokens: Room for keys.
    """
    lengths, before = rows.lengths, work.update.prompt_tokens + rows.prefix
    places = tokens / (work.update.prompt_tokens / work.group_size + rows.prefix + lengths.age)
    together = min(rows.count, MOST_ROWS, max(1.0, places))
    per_step = _weights_seconds(model, work, cluster) + cluster.summed(0.0, calls=2 * model.language.layers)
    waiting = (rows.count - together) * lengths.mean / together
    last = lengths.longest_of(rows.everyone)
    piece = last / PIECES
    volume = waiting * _rows_seconds(model, work, cluster, together, before + lengths.age)
    for at in ((number + 0.5) * piece for number in range(PIECES)):
        volume += piece * _rows_seconds(model, work, cluster, max(1.0, together * lengths.longer(at)), before + at)
    return {"rows decoded": waiting * per_step + volume, "longest response": last * per_step}


def _weights_seconds(model: Architecture, work: Work, cluster: Cluster) -> float:
    """To read the weights that every token needs, however many rows there are: the tower is not among them."""
    language = model.language
    weights = (language.layers * language.weights + model.vocabulary * language.width) * work.width
    return weights / cluster.tensor_parallel / (cluster.gpu.bandwidth * cluster.efficiency.bandwidth)


def _token_bytes(model: Architecture, work: Work, cluster: Cluster) -> float:
    """Of one token's keys and values on each GPU of a replica; heads are not cut."""
    language = model.language
    heads = max(1, language.heads * language.keys // language.queries)
    return 2 * language.layers * language.keys * work.width / min(cluster.tensor_parallel, heads)


def _rows_seconds(model: Architecture, work: Work, cluster: Cluster, rows: float, context: float) -> float:
    """What a decoded token of so many rows takes beyond reading the weights."""
    gpu, reached, language = cluster.gpu, cluster.efficiency, model.language
    keys = rows * context * _token_bytes(model, work, cluster) / (gpu.bandwidth * reached.bandwidth)
    operations = rows * decoding_operations(model, work.update)
    arithmetic = operations / (cluster.tensor_parallel * gpu.speed(work.dtype) * reached.arithmetic)
    sums = cluster.summed(2 * language.layers * rows * language.width * work.width, calls=0)
    return keys + max(0.0, arithmetic - _weights_seconds(model, work, cluster)) + sums


def verify(work: Work, cluster: Cluster, generating: float) -> Phase:
    """What is left to verify when the last response has ended: workers go on while others are written."""
    verdict = cluster.efficiency.verdict
    needed = (work.responses + work.looks) * verdict / work.verify_workers
    return Phase(parts={"verifying": max(verdict, needed - generating)})


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
    parts = {"arithmetic": 0.0, "too few groups": 0.0, "network": 0.0, "launching": 0.0}
    for times, operations, passes, moved in (
        (1, learning_operations(model, update, checkpointed=work.checkpointed), trained, _moved(model, work)),
        (work.scorings, scoring_operations(model, update), 1, model.total.total * work.width),
    ):
        even = operations / ranks / (cluster.gpu.speed(work.dtype) * cluster.efficiency.arithmetic)
        computing = even * mine * ranks / units
        calls = _blocks(model) * (3 if passes > 1 else 1)
        moving = batches * cluster.ring(moved, ranks=ranks, calls=calls)
        launching = batches * passes * _blocks(model) * cluster.efficiency.layer_seconds
        count = times * work.updates
        parts["arithmetic"] += count * even
        parts["too few groups"] += count * (computing - even)
        parts["network"] += count * (max(0.0, moving - computing) if cluster.efficiency.overlapped else moving)
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
