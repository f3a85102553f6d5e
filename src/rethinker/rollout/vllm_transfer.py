"""Weights to vLLM on CUDA, through its own weight-transfer engines: CUDA IPC on one machine, NCCL between machines.

Written against vLLM 0.32 and never run without CUDA: the CPU's way is `vllm_weights.by_copies`. An engine that is to be
reached so is made with `transfer="ipc"` or `"nccl"`; the learner's process sends, and the engine's workers receive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from rethinker.rollout.vllm_weights import NamedWeights, Send

Call = Callable[..., Any]
"""`VllmEngine.call_workers`, of an engine here or behind an actor."""


class Workers:
    """vLLM's client of a weight transfer (`VLLMWeightSyncClient`), by calls to the workers."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Workers get ready; under NCCL they wait for the sender."""
        self._call("init_weight_transfer_engine", init_info)

    def start_weight_update(self) -> None:
        """Weights are about to come."""
        self._call("start_weight_update")

    def update_weights(self, update_info: Any) -> None:
        """Receive some."""
        self._call("update_weights", update_info)

    def finish_weight_update(self, weight_version: str | None = None) -> None:  # noqa: ARG002
        """All have come."""
        self._call("finish_weight_update")


class _Source:
    """vLLM's `WeightSource` over what is sent now."""

    def __init__(self) -> None:
        self.weights: list[tuple[str, Tensor]] = []

    def metadata(self) -> list[Any]:
        from vllm.distributed.weight_transfer.base import ParamMeta

        return [ParamMeta(name, weight.dtype, tuple(weight.shape)) for name, weight in self.weights]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        return iter(self.weights)


def by_ipc(call: Call) -> Send:
    """Workers on the sender's own GPUs read the weights from its memory."""
    from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo, IPCTrainerWeightTransferEngine

    source = _Source()
    info = IPCTrainerInitInfo(rank=0, packed=True)
    return _sending(IPCTrainerWeightTransferEngine.trainer_init(info, client=Workers(call), source=source), source)


def by_nccl(call: Call, *, address: str, port: int, workers: int) -> Send:
    """Weights go out from rank 0 of a group of the sender and so many workers, which meets at `address`."""
    from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo, NCCLTrainerWeightTransferEngine

    source = _Source()
    info = NCCLTrainerInitInfo(rank=0, master_address=address, master_port=port, world_size=workers + 1)
    return _sending(NCCLTrainerWeightTransferEngine.trainer_init(info, client=Workers(call), source=source), source)


def _sending(engine: Any, source: _Source) -> Send:
    def send(weights: NamedWeights) -> None:
        source.weights = list(weights)
        try:
            engine.send_weights()
        finally:
            source.weights = []

    return send
