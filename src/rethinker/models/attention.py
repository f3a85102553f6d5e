"""Attention by layout: rows that share a prompt say who sees whom, instead of a mask over every pair of tokens.

Hugging Face's attention layers call a function by name. Ours takes a `Layout` that travels through the model as a
keyword argument; without one it is Hugging Face's own scaled-dot-product attention. Only the language model uses it:
vision towers keep theirs. What a layout computes is the layout's: the learner's packed batch, the engine's cache.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from rethinker.errors import ModelError
from rethinker.models.compiling import outside

NAME = "rethinker_layout"

_UNKNOWN = ("softcap", "s_aux")
"""What some families' layers pass along and a layout cannot do: capped scores, attention sinks."""


class Layout(ABC):
    """Who sees whom in one forward pass."""

    @abstractmethod
    def attend(
        self,
        layer: int,
        query: Float[Tensor, "batch heads length width"],
        key: Float[Tensor, "batch kv_heads keys width"],
        value: Float[Tensor, "batch kv_heads keys width"],
        *,
        scaling: float,
        window: int | None,
    ) -> Float[Tensor, "batch length heads width"]:
        """Attend in one layer; several query heads may share a key head, in runs.

        A layer with a `window` sees that many tokens back, its own included.
        """


class PackedLayout(Layout):
    """Of a packed line (`packing.Line`): prompts are causal, a response sees its prompt and itself, never a sibling.

    A layer that slides a window counts the tokens of prompt and response together.
    """

    @property
    @abstractmethod
    def slots(self) -> int:
        """Places that attention computes."""

    @property
    @abstractmethod
    def padding(self) -> int:
        """Those of them that hold no token."""


class CausalLayout(Layout):
    """Rows padded on the right, where each token sees itself and those before it.

    A query of the padding sees real keys and nobody reads it, so a plain causal product needs no mask at all.

    Args:
        blocks: Number of the image that a token belongs to, −1 for none; the tokens of an image see each other both
            ways. None where images are read like text.
    """

    def __init__(
        self, width: int, *, blocks: Int[Tensor, "rows width"] | None, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._width, self._blocks = width, blocks
        self._dtype, self._device = dtype, device
        self._made: dict[int, Tensor] = {}

    def attend(
        self,
        layer: int,  # noqa: ARG002
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scaling: float,
        window: int | None,
    ) -> Float[Tensor, "rows width heads depth"]:
        """Causal attention, masked only where a window or a block asks for it."""
        bias = self._bias(window)
        attended = scaled_dot_product_attention(
            query, key, value, attn_mask=bias, is_causal=bias is None, scale=scaling, enable_gqa=True
        )
        return attended.transpose(1, 2)

    def _bias(self, window: int | None) -> Float[Tensor, "rows 1 width width"] | None:
        """None where plain causal attention is meant; made once per window."""
        reach = min(window or self._width, self._width)
        if self._blocks is None and reach == self._width:
            return None
        if reach not in self._made:
            back = torch.arange(self._width, device=self._device)
            distance = back[:, None] - back
            seen = (distance >= 0)[None]
            if self._blocks is not None:
                same = self._blocks[:, :, None] == self._blocks[:, None, :]
                seen = seen | (same & (self._blocks >= 0)[:, None, :])
            self._made[reach] = as_bias(seen & (distance < reach), self._dtype)[:, None]
        return self._made[reach]


class AloneLayout(Layout):
    """Every token sees itself alone: its state cannot depend on another's, unless the model has a second way."""

    def attend(
        self,
        layer: int,  # noqa: ARG002
        query: Tensor,
        key: Tensor,  # noqa: ARG002
        value: Tensor,
        *,
        scaling: float,  # noqa: ARG002
        window: int | None,  # noqa: ARG002
    ) -> Float[Tensor, "batch length heads width"]:
        """Each token's own value."""
        return value.repeat_interleave(query.shape[1] // value.shape[1], dim=1).transpose(1, 2)


def as_bias(seen: Bool[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    """0 where a query sees a key, the type's minimum elsewhere."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)


def padded(rows: Sequence[Int64[np.ndarray, " row"]], *, fill: int, device: torch.device) -> Int[Tensor, "rows width"]:
    """Rows of unequal length in one tensor, filled up on the right."""
    table = np.full((len(rows), max(len(row) for row in rows)), fill, dtype=np.int64)
    for place, row in zip(table, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(table).to(device)


def choose_attention(module: Any, name: str) -> str:
    """Let the language model attend by the function of this name; return the name of the one before."""
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    config = module.config
    text = config.get_text_config()
    before: str = text._attn_implementation
    parts = [part for part in config.sub_configs if getattr(config, part) is text]
    module.set_attn_implementation(dict.fromkeys(parts, name) if parts else name)
    return before


@outside
def _attention(
    module: Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    layout: Layout | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """What an attention layer calls."""
    if odd := [name for name in _UNKNOWN if kwargs.get(name) is not None]:
        raise ModelError(f"{type(module).__name__} attends with {', '.join(odd)}, which layouts do not know")
    if layout is None:
        attended: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, sliding_window=sliding_window, **kwargs
        )
        return attended
    return layout.attend(int(module.layer_idx), query, key, value, scaling=scaling, window=sliding_window), None  # type: ignore[arg-type]
