"""Weights of one model copied into another of the same kind, every name and shape checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from rethinker.errors import ModelError


@torch.no_grad()
def adopt(module: Any, weights: Iterable[tuple[str, Tensor]]) -> None:
    """Copy weights into a model under their Hugging Face names; tied ones come once.

    Raises:
        ModelError: a name is unknown, a shape differs, or a weight of the model did not come.
    """
    own = dict(module.named_parameters())
    missing = set(own)
    for name, weight in weights:
        if name not in own:
            raise ModelError(f"the weight {name} came and {type(module).__name__} has none of that name")
        if own[name].shape != weight.shape:
            shapes = f"{tuple(weight.shape)} and not {tuple(own[name].shape)}"
            raise ModelError(f"the weight {name} came with shape {shapes}: it is of another model")
        own[name].copy_(weight)
        missing.discard(name)
    if missing:
        raise ModelError(
            f"{len(missing)} of {len(own)} weights of {type(module).__name__} did not come, first {sorted(missing)[:3]}"
        )
