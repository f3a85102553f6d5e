"""Attention by layout: rows that share a prompt say who sees whom, instead of a mask over every pair of tokens.

Hugging Face's attention layers call a function by name. Ours takes a `Layout` that travels through the model as a
keyword argument; without one it is Hugging Face's own scaled-dot-product attention. Only the language model uses it:
vision towers keep theirs. What a layout computes is the layout's: the learner's packed batch, the engine's cache.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn import Module
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from rethinker.errors import ModelError

NAME = "rethinker_layout"


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
    ) -> Float[Tensor, "batch length heads width"]:
        """Attend in one layer; several query heads may share a key head, in runs."""


def use_layouts(module: Any) -> None:
    """Let a model's language part take layouts.

    Raises:
        ModelError: its attention cannot be chosen by name.
    """
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    config = module.config
    text = config.get_text_config()
    parts = [name for name in config.sub_configs if getattr(config, name) is text]
    module.set_attn_implementation(dict.fromkeys(parts, NAME) if parts else NAME)
    if text._attn_implementation != NAME:
        raise ModelError(
            f"the attention of {type(module).__name__} cannot be chosen by name, so prompts cannot be shared; use a "
            "model that follows transformers' AttentionInterface"
        )


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
    if layout is None:
        attended: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, sliding_window=sliding_window, **kwargs
        )
        return attended
    if sliding_window is not None:
        raise ModelError(f"{type(module).__name__} slides a window of {sliding_window} tokens; layouts see everything")
    return layout.attend(int(module.layer_idx), query, key, value, scaling=scaling), None  # type: ignore[arg-type]
