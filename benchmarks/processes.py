"""A sharded learner on 1, 2 and 4 processes, beside what the model of `rethinker plan --gpus` says of it.

    python benchmarks/processes.py [--json OUT] [--quick]

The embedded model's language part learns from the same responses in every arm, cut into micro-batches of two sizes,
with its layers and the rest sharded by FSDP2 over gloo. From one process come the model's two constants of the learner
(as from two runs of EasyR1 in docs/scaling-out.md); 2 and 4 processes are predicted from them and from the rates of
matrix products and of the loopback, both measured in as many processes at once. Processes have one thread each, so that
four on two cores share them; what the cores compute they cannot move, so nothing overlaps. Arms take turns, round by
round. Each update is timed beside matrix products, so that other work on the machine slows both: an update's seconds
are its median in such products, times their median.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForImageTextToText

import reporting
from reporting import Column
from rethinker.models.tiny import TINY_FOLDER
from rethinker.planning.architecture import read
from rethinker.planning.cluster import Cluster
from rethinker.planning.compute import Step, learning_operations
from rethinker.planning.efficiency import Efficiency
from rethinker.planning.gpus import Gpu
from rethinker.planning.phases import learn
from rethinker.planning.shapes import Architecture
from rethinker.planning.work import Lengths, Work

WORLDS = (1, 2, 4)
ROWS, PROMPT, RESPONSE = 32, 64, 192
SIZES = (2, 8)
"""Rows of a micro-batch."""
SIDE, PRODUCTS, GATHERED = 512, 50, 4_000_000
"""Of the matrices, products in a row (long enough for processes to wait for a core), and bytes gathered."""
UPDATES, GATHERS = 3, 15
"""Counted in a round."""
PASSES = 3


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, predict, print and write."""
    made = reporting.parser(__doc__.splitlines()[0], repeats=3, quick="one round, 1 and 2 processes")
    arguments = reporting.parsed(made, argv)
    worlds = WORLDS[:2] if arguments.quick else WORLDS
    report = reporting.head("processes", arguments)
    rounds = [[measured(processes) for processes in worlds] for _ in range(arguments.repeats)]
    report["worlds"] = [together(each) for each in zip(*rounds, strict=True)]
    report["rows"] = rows(report["worlds"])
    reporting.write(report, arguments.json)
    print(tables(report))


def together(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One arm's rounds as one: the median of each number, updates in products."""
    median = {name: statistics.median(each[name] for each in rounds) for name in ("rate", "bandwidth", "call_s")}
    product = 2 * SIDE**3 / median["rate"]
    updates = {
        size: product * statistics.median(number for each in rounds for number in each["products"][size])
        for size in rounds[0]["products"]
    }
    moved = median["bandwidth"] or None  # nothing moves in one process
    return {"processes": rounds[0]["processes"], **median, "bandwidth": moved, "update_s": updates}


def measured(processes: int) -> dict[str, Any]:
    """Rates and seconds of an update in so many processes, of one round."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_rank, args=(processes, folder), nprocs=processes)
        found: dict[str, Any] = json.loads((Path(folder) / "found.json").read_text(encoding="utf-8"))
    return found


def _rank(rank: int, processes: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=processes)
    shard = torch.ones(GATHERED // 4 // processes)
    whole, small = torch.empty(shard.numel() * processes), torch.empty(processes)
    gathering = [_seconds(lambda: distributed.all_gather(list(whole.chunk(processes)), shard)) for _ in range(GATHERS)]
    calling = [
        _seconds(lambda: distributed.all_gather(list(small.chunk(processes)), small[:1].clone()))
        for _ in range(GATHERS)
    ]
    pairs = {str(rows): _updates(processes, rows) for rows in SIZES}
    found = {
        "processes": processes,
        "rate": 2 * SIDE**3 / statistics.median(product for each in pairs.values() for product, _ in each),
        "bandwidth": GATHERED * (processes - 1) / processes / statistics.median(gathering),
        "call_s": statistics.median(calling),
        "products": {rows: [update / product for product, update in each] for rows, each in pairs.items()},
    }
    if rank == 0:
        (Path(folder) / "found.json").write_text(json.dumps(found), encoding="utf-8")
    distributed.destroy_process_group()


def _updates(processes: int, rows: int) -> list[tuple[float, float]]:
    """Seconds of a matrix product, and of an update beside it: micro-batches forward and backward, a step of AdamW."""
    module = AutoModelForImageTextToText.from_pretrained(TINY_FOLDER)
    mesh = init_device_mesh("cpu", (processes,))
    for layer in module.model.language_model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-6, foreach=True)
    ids = torch.randint(20, 250, (ROWS // processes, PROMPT + RESPONSE), generator=torch.Generator().manual_seed(0))

    def update() -> None:
        optimizer.zero_grad()
        for part in ids.split(rows):
            scores = module(input_ids=part, logits_to_keep=RESPONSE, use_cache=False).logits
            torch.nn.functional.cross_entropy(scores.flatten(0, 1), part[:, -RESPONSE:].flatten()).backward()
        optimizer.step()

    matrix = torch.ones(SIDE, SIDE)

    def products() -> None:
        for _ in range(PRODUCTS):
            torch.mm(matrix, matrix)

    return [(_seconds(products) / PRODUCTS, _seconds(update)) for _ in range(1 + UPDATES)][1:]


def _seconds(work: Callable[[], object]) -> float:
    """Of work that all processes begin together."""
    distributed.barrier()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rows(worlds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Measured and predicted updates; what the constants were fitted on is marked."""
    model = replace(read("tiny", lambda _: None), vision=None)
    efficiency = _fitted(model, worlds[0])
    return [
        _row(model, world, together, efficiency, fitted=world is worlds[0]) for world in worlds for together in SIZES
    ]


def _fitted(model: Architecture, one: Mapping[str, Any]) -> Efficiency:
    """The two constants with which both updates in one process are met."""
    few, many = (ROWS // together for together in reversed(SIZES))
    most, least = one["update_s"][str(SIZES[0])], one["update_s"][str(SIZES[1])]
    batch = max(0.0, (most - least) / (many - few))
    operations = learning_operations(model, _work(1).update, checkpointed=False)
    return Efficiency(
        arithmetic=operations / (one["rate"] * (least - few * batch)),
        layer_seconds=batch / (PASSES * model.language.layers),
        link=1.0,
        overlapped=False,
    )


def _row(
    model: Architecture, world: Mapping[str, Any], together: int, efficiency: Efficiency, *, fitted: bool
) -> dict[str, Any]:
    processes, measured_s = world["processes"], world["update_s"][str(together)]
    gpu = Gpu(
        rate=0.0,
        float32_rate=world["rate"],
        memory=0.0,
        bandwidth=0.0,
        inside=world["bandwidth"] or 1.0,
        between=0.0,
    )
    here = replace(efficiency, hop=world["call_s"] / max(1, processes - 1))
    phase = learn(model, _work(together), Cluster(gpu=gpu, gpus=processes, efficiency=here))
    return {
        "processes": processes,
        "together": together,
        "measured_s": measured_s,
        "predicted_s": phase.seconds,
        "network_s": phase.parts["network"],
        "error": "fitted" if fitted else f"{phase.seconds / measured_s - 1:+.0%}",
    }


def _work(together: int) -> Work:
    update = Step(prompts=ROWS, prompt_tokens=PROMPT, image_tokens=0, responses=ROWS, response_tokens=RESPONSE)
    return Work(
        queries=ROWS,
        group_size=1,
        updates=1,
        first=Lengths(mean=RESPONSE, longest=RESPONSE),
        update=update,
        together=1,
        micro_batch_tokens=together * (PROMPT + RESPONSE),
        checkpointed=False,
        scorings=0,
        width=4,
    )


COLUMNS = (
    Column(head="processes", key="processes"),
    Column(head="rows of a micro-batch", key="together"),
    Column(head="measured, ms", key="measured_s", unit=1e-3, digits=0),
    Column(head="predicted, ms", key="predicted_s", unit=1e-3, digits=0),
    Column(head="of it network, ms", key="network_s", unit=1e-3, digits=0),
    Column(head="error", key="error"),
)
RATES = (
    Column(head="processes", key="processes"),
    Column(head="matrix products of each, GFLOP/s", key="rate", unit=1e9, digits=1),
    Column(head="gathered, MB/s", key="bandwidth", unit=1e6, digits=0),
    Column(head="a call, ms", key="call_s", unit=1e-3, digits=2),
)


def tables(report: Mapping[str, Any]) -> str:
    """Both tables as Markdown."""
    return f"{reporting.table(RATES, report['worlds'])}\n\n{reporting.table(COLUMNS, report['rows'])}"


if __name__ == "__main__":
    main()
