"""Whether the responses to one prompt can share its forward: found by trying, not by the model's name.

A model qualifies if a token that sees itself alone has a state that no other token changes (nothing but attention
mixes tokens, and attention is chosen by name), and if its scores are those of its output layer after a causal
attention. A recurrent or hybrid model fails the first, one that caps or scales its scores the second; both are then
run as they are, one forward per response.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rethinker.errors import ModelError
from rethinker.models.attention import NAME, AloneLayout, CausalLayout, Layout, choose_attention

if TYPE_CHECKING:
    from rethinker.models.vlm import VLM

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
"""Largest difference that rounding may make, relative to the largest value; twenty times as much in half precision."""


def shares_prompts(vlm: VLM) -> bool:
    """Choose attention by layout and try it; where it does not hold, choose the model's own again and say so once."""
    before = choose_attention(vlm.module, NAME)
    training = vlm.module.training
    vlm.module.eval()
    with torch.no_grad():
        fault = _fault(vlm)
    vlm.module.train(training)
    if fault:
        choose_attention(vlm.module, before)
        _warn(
            f"{type(vlm.module).__name__} cannot share prompts ({fault}): every response is a forward of its own, "
            "which is right but slower"
        )
    return not fault


def _fault(vlm: VLM) -> str:
    """Why prompts cannot be shared; empty where they can."""
    if vlm.module.config.get_text_config()._attn_implementation != NAME:
        return "its attention cannot be chosen by name"
    a, b, c = [i for i in range(vlm.vocabulary) if i not in vlm.forbidden_ids][:3]
    ids = torch.tensor([[a, c], [b, c]], device=vlm.device)
    try:
        apart = _states(vlm, ids, AloneLayout())[:, -1]
        causal = _states(vlm, ids, CausalLayout(2, blocks=None, dtype=vlm.module.dtype, device=vlm.device))
    except (ModelError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        return f"it takes no layout: {error}"
    if _far(apart[0], apart[1], vlm):
        return "something besides attention mixes its tokens"
    if _far(vlm.logits(causal), vlm.module(input_ids=ids, use_cache=False).logits.float(), vlm):
        return "its scores are not those of its output layer after a causal attention"
    return ""


def _states(vlm: VLM, ids: Tensor, layout: Layout) -> Tensor:
    positions = torch.arange(ids.shape[1], device=ids.device).expand(vlm.position_axes, *ids.shape)
    return vlm.hidden(ids, positions=positions, layout=layout, vision={})


def _far(left: Tensor, right: Tensor, vlm: VLM) -> bool:
    tolerance = _TOLERANCE.get(vlm.module.dtype, 2e-2)
    return not float((left - right).abs().max()) <= tolerance * float(right.abs().max())


@cache
def _warn(message: str) -> None:
    """Each message once."""
    logging.getLogger("rethinker").warning(message)
