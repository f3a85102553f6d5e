"""Weights from the learner's first rank straight to vLLM's workers, in one broadcast to the workers of all engines.

On CUDA that is vLLM's own NCCL engine; on the CPU one of the same shape over gloo (`vllm_worker.GlooTransfer`). Both
ends know the order of the weights beforehand, so nothing but weights is sent. Who calls whom, and when, is for
`distributed.weights` to say. Left out: CUDA IPC; an engine that shares a GPU with the learner shares its process too
(`VllmEngine.load_weights`), and copies on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rethinker.errors import RethinkerError
from rethinker.rollout.vllm_engine import VllmEngine
from rethinker.rollout.vllm_weights import NamedWeights, Place

BACKENDS = {"cuda": "nccl", "cpu": "gloo"}
"""vLLM's name of the transfer on each device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Where sender and workers meet.

    Attributes:
        address: Of the sender's machine.
        size: The sender and all workers.
        patience: Seconds to wait for each other.
    """

    address: str
    port: int
    size: int
    patience: float


class Receiver:
    """An engine's end; served beside the engine, which must be made with `transfer` of the same device."""

    def __init__(self, engine: VllmEngine, *, device: str) -> None:
        self._engine = engine
        self._device = device

    def places(self) -> Mapping[str, Place]:
        """What the engine expects, in the order in which it does."""
        return self._engine.places

    def join(self, meeting: Meeting, first: int) -> None:
        """Meet the sender; this engine's workers are numbered from `first`."""
        self._engine.call_workers("init_weight_transfer_engine", _joining(meeting, first, device=self._device))

    def receive(self) -> None:
        """Take what the sender sends now; nothing may be pending."""
        self._engine.make_ready()
        self._engine.call_workers("start_weight_update")
        self._engine.call_workers("update_weights", _announced(self._engine.places))
        self._engine.call_workers("finish_weight_update")

    def accept(self, sent: Mapping[str, float], version: int) -> None:
        """See `VllmEngine.accept`."""
        self._engine.accept(sent, version)


Sending = Callable[[NamedWeights], None]
"""Sends weights to all workers at once."""


def sender(meeting: Meeting, places: Mapping[str, Place], *, device: str) -> Sending:
    """Meet the workers; what is returned sends to them."""
    return _by_nccl(meeting, places) if device == "cuda" else _by_gloo(meeting, places)


def _by_gloo(meeting: Meeting, places: Mapping[str, Place]) -> Sending:
    from rethinker.rollout.gloo import joined

    group = joined(address=meeting.address, port=meeting.port, rank=0, size=meeting.size, patience=meeting.patience)

    def send(weights: NamedWeights) -> None:
        for _, weight in _in_order(weights, places):
            group.broadcast(weight.cpu().contiguous(), root=0).wait()

    return send


def _by_nccl(meeting: Meeting, places: Mapping[str, Place]) -> Sending:
    from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo, NCCLTrainerWeightTransferEngine

    source = _Source(places)
    info = NCCLTrainerInitInfo(
        rank=0, master_address=meeting.address, master_port=meeting.port, world_size=meeting.size
    )
    engine = NCCLTrainerWeightTransferEngine.trainer_init(info, client=_Silent(), source=source)

    def send(weights: NamedWeights) -> None:
        source.weights = _in_order(weights, places)
        engine.send_weights()

    return send


def _joining(meeting: Meeting, first: int, *, device: str) -> dict[str, Any]:
    """What a worker is told of the meeting."""
    if device == "cpu":
        return {
            "address": meeting.address,
            "port": meeting.port,
            "first": first,
            "size": meeting.size,
            "patience": meeting.patience,
        }
    from vllm.distributed.weight_transfer.nccl_common import NCCLWeightTransferInitInfo, worker_init_payload

    info = NCCLWeightTransferInitInfo(
        master_address=meeting.address,
        master_port=meeting.port,
        rank_offset=first,
        world_size=meeting.size,
        packed=True,  # as `NCCLTrainerInitInfo` has it
    )
    return dict(worker_init_payload(info))


def _announced(places: Mapping[str, Place]) -> dict[str, Any]:
    """What is about to come, as vLLM's own engines are told of it."""
    return {
        "names": list(places),
        "dtype_names": [str(place.dtype).removeprefix("torch.") for place in places.values()],
        "shapes": [list(place.shape) for place in places.values()],
    }


def _in_order(weights: NamedWeights, places: Mapping[str, Place]) -> NamedWeights:
    """The weights, if they come as they are expected.

    Raises:
        RethinkerError: they do not.
    """
    expected = iter(places.items())
    for name, weight in weights:
        wanted, place = next(expected, ("nothing more", None))
        if place is None or name != wanted or tuple(weight.shape) != place.shape:
            raise RethinkerError(
                f"the learner has the weight {name} {tuple(weight.shape)} where the engine expects {wanted}; "
                "set engine.transfer=objects"
            )
        yield name, weight


class _Source:
    """vLLM's `WeightSource` over what is sent now."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places
        self.weights: Iterator[tuple[str, Tensor]] = iter(())

    def metadata(self) -> list[Any]:
        from vllm.distributed.weight_transfer.base import ParamMeta

        return [ParamMeta(name, place.dtype, place.shape) for name, place in self._places.items()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        return self.weights


class _Silent:
    """vLLM's client of a weight transfer (`VLLMWeightSyncClient`), where somebody else calls the engines."""

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """They meet us at the driver's word."""

    def start_weight_update(self) -> None:
        """Likewise."""

    def update_weights(self, update_info: Any) -> None:
        """Likewise."""

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """Likewise."""
