"""FSDP2: a model in as many pieces as there are ranks, gathered a layer at a time while it computes.

Units are decoder layers, vision blocks, and the root with all the rest (embeddings, output layer, projector). Trained
weights are float32 shards that are gathered in the type the model computes in, so that they need no masters beside
them; frozen ones are kept in that type. Losses are normalised over the whole update when it is planned, so gradients
are summed over ranks, never averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

import torch
from jaxtyping import Float64
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
)
from torch.distributed.tensor import DTensor, distribute_tensor

from rethinker.learner.ranks import Ranks
from rethinker.models.places import Place

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """What is traded between memory and communication (see `cluster_config.ShardingConfig`)."""

    offload: bool = False
    reshard_after_forward: bool = True
    reduce_every_micro_batch: bool = False


class Root(nn.Module):
    """The root of a sharded model: whatever runs inside its forward can read every part of the model.

    A model's layers are gathered by their own forwards. Its embeddings and its output layer, which may be one weight,
    are not called in one place, so they stay gathered from the first to the last.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, function: Callable[[], R]) -> R:
        """What the function returns."""
        return function()


class Sharded(Ranks):
    """A model in pieces, and the ranks that hold them.

    Args:
        module: A model whose weights are on the meta device; what of it is trained must be settled. Sharded in place.
        mesh: The ranks, in one dimension.
        dtype: What it computes in.
    """

    def __init__(self, module: Any, *, mesh: DeviceMesh, dtype: torch.dtype, sharding: Sharding) -> None:
        self.module = module
        self.mesh = mesh
        self.sharding = sharding
        on_cuda = mesh.device_type == "cuda"
        self.device = torch.device("cuda", torch.cuda.current_device()) if on_cuda else torch.device("cpu")
        options: dict[str, Any] = {
            "mesh": mesh,
            "reshard_after_forward": sharding.reshard_after_forward,
            "mp_policy": MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False),
            "offload_policy": CPUOffloadPolicy(pin_memory=on_cuda) if sharding.offload else OffloadPolicy(),
        }
        for unit in _units(module):
            fully_shard(unit, **options)
        root: Any = fully_shard(Root(module), **options | {"reshard_after_forward": False})
        self._root: FSDPModule = root
        self._parts = [part for part in root.modules() if isinstance(part, FSDPModule)]
        for part in self._parts:
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
        self.place = Place(device=self.device, dtype=dtype, inside=self._inside)

    @torch.no_grad()
    def fill(self, source: Any | None) -> None:
        """Take the weights of a model of the same kind that rank 0 has; one whole tensor at a time is anywhere else."""
        ties = _ties(self.module)
        home = torch.device("cpu") if self.sharding.offload else self.device
        self._root._apply(
            lambda tensor: torch.empty_like(tensor, device=home) if tensor.is_meta else tensor.to(self.device)
        )
        for (first, its_name), *others in ties:
            for holder, name in others:
                holder._parameters[name] = first._parameters[its_name]
        given = {} if source is None else dict(source.named_parameters())
        for name, weight in self.module.named_parameters():
            whole = torch.empty(weight.shape, dtype=weight.dtype, device=self.device)
            if source is not None:
                whole.copy_(given[name].detach())
            part = distribute_tensor(whole, self.mesh, weight.placements)
            weight.to_local().copy_(part.to_local())
        held = {} if source is None else dict(source.named_buffers())
        for name, buffer in self.module.named_buffers():
            if source is not None:
                buffer.copy_(held[name])
            distributed.broadcast(buffer, src=0)

    # ---- as the learner's ranks ----

    def gather(self, *values: float) -> Float64[Tensor, "ranks values"]:
        """Every rank's values."""
        own = torch.tensor(values, dtype=torch.float64)
        found = [torch.empty_like(own) for _ in range(self.mesh.size())]
        distributed.all_gather(found, own)
        return torch.stack(found)

    def before_backward(self, *, last: bool) -> None:
        """Add gradients up where they are, and over ranks with the last micro-batch alone."""
        self._root.set_requires_gradient_sync(last or self.sharding.reduce_every_micro_batch)

    # ---- as the model's place ----

    def _inside(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        root: Any = self._root
        found: R = root(partial(function, *args, **kwargs))
        if not torch.is_grad_enabled():  # no backward will give back what was gathered
            for part in self._parts:
                part.reshard()
        return found


def whole(weight: Tensor) -> Tensor:
    """All of a weight; all ranks ask at the same time."""
    return weight.full_tensor() if isinstance(weight, DTensor) else weight


def keep_masters(module: Any) -> None:
    """Let trained weights be float32, whatever the model computes in."""
    for weight in module.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def _units(module: Any) -> Iterator[nn.Module]:
    """Decoder layers and vision blocks, which are the longest list in the tower."""
    yield from module.get_decoder().layers
    tower = module.get_encoder(modality="image")
    if tower is not module:
        lists = [part for part in tower.modules() if isinstance(part, nn.ModuleList)]
        yield from max(lists, key=len, default=())


def _ties(module: nn.Module) -> list[list[tuple[nn.Module, str]]]:
    """Where each weight stands that stands in several places."""
    found: dict[int, list[tuple[nn.Module, str]]] = {}
    for holder in module.modules():
        for name, weight in holder._parameters.items():
            if weight is not None:
                found.setdefault(id(weight), []).append((holder, name))
    return [places for places in found.values() if len(places) > 1]
