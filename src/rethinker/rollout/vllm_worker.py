"""What runs inside vLLM's own workers: they import this module by name, before they load a model. Nothing else does.

vLLM is imported at the top here and nowhere else. Left out: who is sent what, and whether it arrived (`vllm_weights`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from vllm import _custom_ops
from vllm.config import VllmConfig
from vllm.distributed.weight_transfer import WeightTransferEngine, WeightTransferEngineFactory
from vllm.distributed.weight_transfer.base import WeightTransferInitInfo, WeightTransferUpdateInfo
from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor

from rethinker.rollout.gloo import joined
from rethinker.rollout.vllm_weights import Probe, squares

# Else the CPU back end packs each linear layer anew once it is loaded, empties its parameter, and later loads fail.
_custom_ops._supports_onednn = False


class Forbid(LogitsProcessor):  # type: ignore[misc]
    """Keeps ids from being sampled, in every request. Raw log-probs are taken before it."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:  # noqa: ARG002
        self._ids = torch.tensor(vllm_config.additional_config["forbidden_ids"], dtype=torch.int64, device=device)

    def apply(self, logits: Tensor) -> Tensor:
        """Scores of the forbidden ids become −∞."""
        return logits.index_fill_(-1, self._ids, -torch.inf)

    def is_argmax_invariant(self) -> bool:
        """Greedy sampling is bound too."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Nothing depends on the batch."""


class WeightReceiver:
    """Added to vLLM's worker class (`worker_extension_cls`): takes weights under their Hugging Face names."""

    model_runner: Any

    @torch.no_grad()
    def probe_weights(self, shapes: Mapping[str, Sequence[int]]) -> Probe:
        """Where each weight goes: load ones into emptied parameters, name by name, and count where they land.

        So no table of names is needed, and fused and sharded parameters tell what they are made of. The model has no
        weights afterwards.
        """
        held = self._held()
        for parameter in held.values():
            parameter.zero_()
        landed: dict[str, tuple[str, int] | str] = {}
        counts = dict.fromkeys(held, 0)
        for name, shape in shapes.items():
            found = self._filled(name, shape, held)
            if found in held:
                count = int(held[found].count_nonzero())
                landed[name] = (found, count - counts[found])
                counts[found] = count
            else:
                landed[name] = found
        return Probe(
            landed=landed,
            dtypes={name: str(parameter.dtype).removeprefix("torch.") for name, parameter in held.items()},
            unfilled=[name for name, count in counts.items() if count < held[name].numel() - self._padding(name)],
        )

    def _filled(self, name: str, shape: Sequence[int], held: Mapping[str, Tensor]) -> str:
        """The parameter that a weight of this name went to, or why it went nowhere."""
        like = next(iter(held.values()))
        try:
            loaded = self._model().load_weights(
                [(name, torch.ones(tuple(shape), dtype=like.dtype, device=like.device))]
            )
        except (ValueError, KeyError, AttributeError, AssertionError, RuntimeError) as error:
            return f"{type(error).__name__}: {error}"
        return " and ".join(sorted(loaded)) or "it has no place"

    def _padding(self, name: str) -> int:
        """Elements of rows that vLLM adds to a vocabulary, which no weight fills."""
        module = self._model().get_submodule(name.rpartition(".")[0])
        if not isinstance(module, VocabParallelEmbedding):
            return 0
        parameter, indices = module.get_parameter(name.rpartition(".")[2]), module.shard_indices
        rows = parameter.shape[0] - indices.num_org_elements - indices.num_added_elements
        return int(rows * parameter[0].numel())

    @torch.no_grad()
    def take_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Copy weights to their places, each worker its own shards."""
        self._model().load_weights(weights)

    def weight_squares(self) -> dict[str, float]:
        """Σ w² of every parameter that this worker holds, summed in float64."""
        return {name: squares(parameter) for name, parameter in self._held().items()}

    def _held(self) -> dict[str, Tensor]:
        return {name: parameter.detach() for name, parameter in self._model().named_parameters()}

    def _model(self) -> Any:
        return self.model_runner.get_model()


@dataclass
class GlooMeeting(WeightTransferInitInfo):  # type: ignore[misc]
    """What a worker is told of the meeting (`vllm_transfer.Meeting`); `first` is the number of its engine's first."""

    address: str
    port: int
    first: int
    size: int
    patience: float


@dataclass
class GlooAnnounced(WeightTransferUpdateInfo):  # type: ignore[misc]
    """What is about to come, in order."""

    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]


class GlooTransfer(WeightTransferEngine[GlooMeeting, GlooAnnounced]):  # type: ignore[misc]
    """Takes weights from a broadcast over gloo: on the CPU what vLLM's NCCL engine is on CUDA."""

    init_info_cls = GlooMeeting
    update_info_cls = GlooAnnounced

    def init_transfer_engine(self, init_info: GlooMeeting) -> None:
        """Meet the sender."""
        self._group = joined(
            address=init_info.address,
            port=init_info.port,
            rank=init_info.first + self.parallel_config.rank,
            size=init_info.size,
            patience=init_info.patience,
        )

    def start_weight_update(self) -> None:
        """Weights are copied into place as they come."""

    @torch.no_grad()
    def receive_weights(self, update_info: GlooAnnounced) -> None:
        """Take them one by one, each worker its own shards."""
        announced = zip(update_info.names, update_info.dtype_names, update_info.shapes, strict=True)
        for name, dtype, shape in announced:
            weight = torch.empty(shape, dtype=getattr(torch, dtype))
            self._group.broadcast(weight, root=0).wait()
            self.model.load_weights([(name, weight)])

    def finish_weight_update(self) -> None:
        """Nothing is left to do."""

    def shutdown(self) -> None:
        """The group ends with its process."""


WeightTransferEngineFactory.register_engine("gloo", GlooTransfer)
