"""Whether the responses to one prompt can share its forward: found by trying, not by the model's name.

A model qualifies if its scores are those of its output layer, if a token that sees itself alone has a state that no
other token changes (nothing but attention mixes tokens, and attention is chosen by name), if by our attention it makes
the states that it makes by its own, of text and of an image, and if each of its layers has keys of its own. One that
caps or scales its scores fails the first, a recurrent or hybrid model the second, one that reads images in a way that
`families.py` does not know the third; all are then run as they are, one forward per response.
"""

from __future__ import annotations

import logging
from functools import cache
from itertools import filterfalse, islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from rethinker.errors import DataError, ModelError
from rethinker.models.attention import NAME, AloneLayout, CausalLayout, Layout, choose_attention, padded
from rethinker.types import IMAGE_MARK, Image, Problem, Prompt

if TYPE_CHECKING:
    from rethinker.models.vlm import VLM

_ROUNDED = {torch.float32: 1e-3, torch.float64: 1e-6}
"""Largest difference that rounding may make, relative to the largest value; twenty times as much in half precision."""

_SAME = 1e-4
"""The same for what is computed from the same numbers in the same way."""

_SCORED = 8
"""Positions whose scores are compared: a large vocabulary's at every position would be gigabytes."""

_REFUSALS = (ModelError, DataError, TypeError, ValueError, RuntimeError, AttributeError, LookupError)
"""What a model or its processor raises that cannot be run this way."""


def try_out(vlm: VLM) -> tuple[bool, bool]:
    """Whether prompts can be shared, and whether scores are the output layer's on the final hidden states.

    Called without gradients.

    Where prompts can be shared, attention by layout stays chosen; where not, that is said once.
    """
    training, before = vlm.module.training, vlm.module.config.get_text_config()._attn_implementation
    vlm.module.eval()
    plain = False
    try:
        prompt = _tried(vlm)
        own, scores = _states_and_scores(vlm, prompt)
        plain = not _far(vlm.logits(own[:, -_SCORED:]), scores, _SAME)
        fault = _fault(vlm, prompt, own) if plain else "its scores are not those of its output layer"
    except _REFUSALS as error:
        fault = f"it cannot be tried: {error}"
    finally:
        vlm.module.train(training)
    if fault:
        choose_attention(vlm.module, before)
        _warn(
            f"{type(vlm.module).__name__} cannot share prompts ({fault}): every response is a forward of its own, "
            "which is right but slower"
        )
    return not fault, plain


def _states_and_scores(vlm: VLM, prompt: Prompt) -> tuple[Tensor, Tensor]:
    """Of one forward of the model as it is, so that even half precision tells whether the ones give the others."""
    states: list[Tensor] = []
    hook = vlm.module.base_model.register_forward_hook(lambda _m, _i, output: states.append(output.last_hidden_state))
    try:
        nothing = torch.zeros(1, 0, dtype=torch.int64, device=vlm.device)
        scores = vlm.separate_scores(prompt, nothing, last=_SCORED)
    finally:
        hook.remove()
    return states[0], scores


def _fault(vlm: VLM, prompt: Prompt, own: Tensor) -> str:
    """Why a prompt whose states by the model's own attention are known cannot be shared; empty where it can."""
    choose_attention(vlm.module, NAME)
    if vlm.module.config.get_text_config()._attn_implementation != NAME:
        return "its attention cannot be chosen by name"
    a, b, c = islice(filterfalse(set(vlm.forbidden_ids).__contains__, range(vlm.vocabulary)), 3)
    pairs = torch.tensor([[a, c], [b, c]], device=vlm.device)
    places = torch.arange(2, device=vlm.device).expand(vlm.position_axes, 2, 2)
    apart = vlm.hidden(pairs, positions=places, layout=AloneLayout(), vision={})[:, -1]
    rounded = _ROUNDED.get(vlm.dtype, 2e-2)
    if _far(apart[0], apart[1], rounded):
        return "something besides attention mixes its tokens"
    ids = torch.from_numpy(prompt.token_ids)[None].to(vlm.device)
    positions = vlm.positions(prompt)[:, None].to(vlm.device)
    layout, cache = _causal(vlm, prompt), DynamicCache()
    shared = vlm.hidden(ids, positions=positions, layout=layout, vision=vlm.vision([prompt]), cache=cache)
    if _far(shared, own, rounded):
        return "its attention is not causal, or reads images otherwise"
    return "" if len(cache.layers) == vlm.text_layers else "not every layer keeps keys of its own"


def _causal(vlm: VLM, prompt: Prompt) -> Layout:
    blocks = vlm.image_blocks([prompt])
    return CausalLayout(
        len(prompt.token_ids),
        blocks=None if blocks is None else padded(blocks, fill=-1, device=vlm.device),
        dtype=vlm.dtype,
        device=vlm.device,
    )


def _tried(vlm: VLM) -> Prompt:
    """A prompt with a small image, of shades so that its tokens differ; without one where the model sees none."""
    shades = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(32, 32, 3) * 7 % 256
    images = (Image(pixels=shades.astype(np.uint8)),) if vlm.sees_images else ()
    question = f"{IMAGE_MARK if images else ''} How many?"
    return vlm.encode(Problem(id="tried", images=images, question=question, answer="none", verifier="text"), "plain")


def _far(left: Tensor, right: Tensor, tolerance: float) -> bool:
    return not float((left - right).abs().max()) <= tolerance * float(right.abs().max())


@cache
def _warn(message: str) -> None:
    """Each message once."""
    logging.getLogger("rethinker").warning(message)
