"""Seconds to bring weights from one process straight into another's vLLM engine, beside the link's own bandwidth.

    python benchmarks/vllm_transfer.py [--device cuda --model FOLDER] --json OUT [--quick] [--repeats N]

The sender and the engine's worker are processes of their own. On CUDA each has a GPU (two are needed) and vLLM's NCCL
engine carries the weights; on the CPU it is gloo. The link's bandwidth is that of plain broadcasts of one block over a
group of the same kind, in the same processes, in turn with the syncs. Figures are medians.
"""

from __future__ import annotations

import multiprocessing
import socket
import statistics
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

import reporting

TO_REACH = 0.5
"""Of the link's bandwidth, on CUDA."""

BLOCK, QUICK_BLOCK = 256_000_000, 8_000_000
"""Bytes of a plain broadcast."""

COLUMNS = (
    reporting.Column(head="over", key="over"),
    reporting.Column(head="parameters, millions", key="parameters", unit=1e6, digits=1),
    reporting.Column(head="sync, s", key="sync_s", digits=3),
    reporting.Column(head="weights, GB/s", key="weights_bytes_per_s", unit=1e9, digits=2),
    reporting.Column(head="plain broadcast, GB/s", key="link_bytes_per_s", unit=1e9, digits=2),
    reporting.Column(head="share of the link", key="share", digits=2),
    reporting.Column(head="to reach on CUDA", key="to_reach"),
)


def free_port() -> int:
    """One that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plain_group(device: str, port: int, rank: int) -> Any:
    """A function that broadcasts a block over a group of two, from rank 0, and waits."""
    if device == "cpu":
        from rethinker.rollout.gloo import joined

        group = joined(address="127.0.0.1", port=port, rank=rank, size=2, patience=300)
        return lambda block: group.broadcast(block, root=0).wait()
    from vllm.distributed.weight_transfer.nccl_common import stateless_init_process_group

    group = stateless_init_process_group("127.0.0.1", port, rank, 2, device=torch.accelerator.current_device_index())

    def broadcast(block: torch.Tensor) -> None:
        group.broadcast(block, src=0, stream=torch.cuda.current_stream())
        torch.cuda.synchronize()

    return broadcast


def engine_process(line: Connection, device: str, folder: str, meeting: Any, port: int, block: int) -> None:
    """The far side: an engine, and the other end of plain broadcasts."""
    if device == "cuda":
        torch.cuda.set_device(1)
    from rethinker.models.loading import load
    from rethinker.rollout.vllm_engine import VllmEngine, served_model
    from rethinker.rollout.vllm_transfer import BACKENDS, Receiver

    vlm = load(folder, device="cpu")
    engine = VllmEngine(
        served_model(vlm, folder),
        device=device,
        dtype="float32" if device == "cpu" else "bfloat16",
        max_tokens=400,
        cache_bytes=50_000_000,
        transfer=BACKENDS[device],
    )
    receiver = Receiver(engine, device=device)
    line.send(receiver.places())
    receiver.join(meeting, 1)
    broadcast = plain_group(device, port, 1)
    room = torch.empty(block, dtype=torch.uint8, device=device)
    version = 0
    while (told := line.recv()) is not None:
        if told == "weights":
            receiver.receive()
            line.send("received")
            version += 1
            receiver.accept(line.recv(), version)
            line.send("accepted")
        else:
            broadcast(room)
    engine.close()


def measured(device: str, folder: str, *, repeats: int, block: int) -> list[dict[str, float]]:
    """Of each counted round, seconds of a sync and of a plain broadcast; the first round of each is not counted."""
    from rethinker.models.adapters import merged_weights
    from rethinker.models.loading import load
    from rethinker.rollout.vllm_transfer import Meeting, sender
    from rethinker.rollout.vllm_weights import Receipt

    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    meeting, port = Meeting(address="127.0.0.1", port=free_port(), size=2, patience=300), free_port()
    far = context.Process(target=engine_process, args=(there, device, folder, meeting, port, block), daemon=True)
    far.start()
    vlm = load(folder, device="cuda:0" if device == "cuda" else "cpu")
    places = here.recv()
    send = sender(meeting, places, device=device)
    broadcast = plain_group(device, port, 0)
    room = torch.zeros(block, dtype=torch.uint8, device=vlm.device)
    rounds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        here.send("weights")
        receipt = Receipt(places)
        send(receipt.passing(merged_weights(vlm.module)))
        here.recv()
        here.send(receipt.sent())
        here.recv()
        synced = time.perf_counter()
        here.send("block")
        broadcast(room)
        rounds.append({"sync_s": synced - began, "plain_s": time.perf_counter() - synced})
    here.send(None)
    far.join()
    sizes = [torch.Size(place.shape).numel() for place in places.values()]
    widths = [torch.empty((), dtype=place.dtype).element_size() for place in places.values()]
    total = {"parameters": sum(sizes), "bytes": sum(n * width for n, width in zip(sizes, widths, strict=True))}
    return [each | total for each in rounds[1:]]


def row(device: str, rounds: Sequence[dict[str, float]], *, block: int) -> dict[str, Any]:
    """Medians."""
    sync = statistics.median(each["sync_s"] for each in rounds)
    rate = rounds[0]["bytes"] / sync
    link = block / statistics.median(each["plain_s"] for each in rounds)
    return {
        "over": "NCCL" if device == "cuda" else "gloo",
        "parameters": rounds[0]["parameters"],
        "sync_s": sync,
        "weights_bytes_per_s": rate,
        "link_bytes_per_s": link,
        "share": rate / link,
        "to_reach": TO_REACH,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it if asked."""
    parser = reporting.parser("Weights broadcast into a vLLM engine.", repeats=7, quick="a small block")
    parser.add_argument("--model", type=Path, help="a Hugging Face folder; default the embedded tiny model")
    arguments = reporting.parsed(parser, argv)
    if arguments.device == "cuda" and torch.cuda.device_count() < 2:
        parser.error(f"--device cuda needs two GPUs, and there are {torch.cuda.device_count()}; --device cpu runs gloo")
    from rethinker.models.tiny import TINY_FOLDER

    folder, block = str(arguments.model or TINY_FOLDER), QUICK_BLOCK if arguments.quick else BLOCK
    report = reporting.head("vllm_transfer", arguments)
    rounds = measured(arguments.device, folder, repeats=arguments.repeats, block=block)
    report |= {"rows": [row(arguments.device, rounds, block=block)], "details": rounds}
    print(reporting.table(COLUMNS, report["rows"]), flush=True)
    reporting.write(report, arguments.json)


if __name__ == "__main__":
    main()
