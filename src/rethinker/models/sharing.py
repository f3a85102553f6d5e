"""Whether the responses to one prompt can share its forward: found by trying, not by the model's name.

A model qualifies if a token that sees itself alone has a state that no other token changes (nothing but attention
mixes tokens, and attention is chosen by name), and if its scores are those of its output layer after a causal
attention, after text and after an image. A recurrent or hybrid model fails the first, one that caps or scales its
scores the second, one that reads images in a way that `families.py` does not know the third; all are then run as they
are, one forward per response.
"""

from __future__ import annotations

import logging
from functools import cache
from itertools import filterfalse, islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rethinker.errors import DataError, ModelError
from rethinker.models.attention import NAME, AloneLayout, CausalLayout, Layout, choose_attention, padded
from rethinker.types import IMAGE_MARK, Image, Problem, Prompt

if TYPE_CHECKING:
    from rethinker.models.vlm import VLM

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
"""Largest difference that rounding may make, relative to the largest value; twenty times as much in half precision."""

_LAST = 8
"""Positions at a prompt's end whose scores are compared: what an image did to the text after it shows there."""

_REFUSALS = (ModelError, DataError, TypeError, ValueError, RuntimeError, AttributeError, IndexError)
"""What a model or its processor raises that cannot be run this way."""


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
    a, b, c = islice(filterfalse(set(vlm.forbidden_ids).__contains__, range(vlm.vocabulary)), 3)
    ids = torch.tensor([[a, c], [b, c]], device=vlm.device)
    try:
        apart = _states(vlm, ids, AloneLayout())[:, -1]
        causal = _states(vlm, ids, CausalLayout(2, blocks=None, dtype=vlm.module.dtype, device=vlm.device))
    except _REFUSALS as error:
        return f"it takes no layout: {error}"
    if _far(apart[0], apart[1], vlm):
        return "something besides attention mixes its tokens"
    if _far(vlm.logits(causal), vlm.module(input_ids=ids, use_cache=False).logits.float(), vlm):
        return "its scores are not those of its output layer after a causal attention"
    return _fault_with_an_image(vlm) if vlm.sees_images else ""


def _fault_with_an_image(vlm: VLM) -> str:
    try:
        prompt = _tried(vlm)
        ids = torch.from_numpy(prompt.token_ids)[None].to(vlm.device)
        blocks = vlm.image_blocks([prompt])
        layout = CausalLayout(
            len(prompt.token_ids),
            blocks=None if blocks is None else padded(blocks, fill=-1, device=vlm.device),
            dtype=vlm.module.dtype,
            device=vlm.device,
        )
        positions = vlm.positions(prompt)[:, None].to(vlm.device)
        hidden = vlm.hidden(ids, positions=positions, layout=layout, vision=vlm.vision([prompt]))
        scores = vlm.separate_scores(prompt, ids[:, :0], last=_LAST)
    except _REFUSALS as error:
        return f"an image cannot be tried: {error}"
    return "it reads images otherwise" if _far(vlm.logits(hidden[:, -_LAST:]), scores, vlm) else ""


def has_plain_scores(vlm: VLM) -> bool:
    """Whether the scores of a model that is run as it is are its output layer's, after an image where it sees any."""
    training = vlm.module.training
    vlm.module.eval()
    try:
        with torch.no_grad():
            prompt = _tried(vlm)
            nothing = torch.zeros(1, 0, dtype=torch.int64, device=vlm.device)
            found = vlm.logits(vlm.separate_hidden(prompt, nothing, last=_LAST))
            return not _far(found, vlm.separate_scores(prompt, nothing, last=_LAST), vlm)
    except _REFUSALS:
        return False
    finally:
        vlm.module.train(training)


def _tried(vlm: VLM) -> Prompt:
    """A prompt with a small image, of shades so that its tokens differ; without one where the model sees none."""
    shades = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(32, 32, 3) * 7 % 256
    images = (Image(pixels=shades.astype(np.uint8)),) if vlm.sees_images else ()
    question = f"{IMAGE_MARK if images else ''} How many?"
    return vlm.encode(Problem(id="tried", images=images, question=question, answer="none", verifier="text"), "plain")


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
