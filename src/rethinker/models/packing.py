"""One line of tokens for the model, [p1 | p2 … | r1 | r2 …], where a prompt and its images stand once.

The learner packs whole responses so, the engine the prefixes that its rows continue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, Int64
from torch import Tensor

from rethinker.models.attention import PackedLayout
from rethinker.models.blocks import BlockLayout
from rethinker.models.pixels import Pixels
from rethinker.models.tables import TableLayout
from rethinker.models.vlm import VLM
from rethinker.types import Prompt

Ids = Int64[np.ndarray, " tokens"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Line:
    """What a packed forward reads, on the device, as a batch of one.

    Attributes:
        prompts: Those of the line, a blank one among them.
        layout: Who sees whom.
        vision: Pixel tensors of the prompts' images, in order.
        sources: Index in the line of the position that predicts each response token.
    """

    prompts: tuple[Prompt, ...]
    input_ids: Int[Tensor, "1 length"]
    positions: Int[Tensor, "axes 1 length"]
    layout: PackedLayout
    vision: Pixels
    sources: Int[Tensor, " tokens"]


def pack(vlm: VLM, prompts: Sequence[Prompt], responses: Sequence[Ids], owners: Sequence[int]) -> Line:
    """Lay prompts and responses end to end; a response goes on where its prompt's positions end.

    Where the model asks for a blank image and no prompt has one, the blank prompt comes after them; nothing sees it.

    Args:
        owners: Index of each response's prompt.
    """
    device = vlm.device
    if vlm.blank is not None and not any(prompt.images for prompt in prompts):
        prompts = [*prompts, vlm.blank]
    placed = [vlm.positions(prompt).numpy() for prompt in prompts]
    starts = [int(positions.max()) + 1 for positions in placed]
    axes = vlm.position_axes
    after = [np.tile(starts[owner] + np.arange(len(ids)), (axes, 1)) for owner, ids in zip(owners, responses)]
    ids = np.concatenate([*(prompt.token_ids for prompt in prompts), *responses])
    layout = BlockLayout if device.type == "cuda" else TableLayout
    return Line(
        prompts=tuple(prompts),
        input_ids=torch.from_numpy(ids)[None].to(device),
        positions=torch.from_numpy(np.concatenate([*placed, *after], axis=1))[:, None].to(device),
        layout=layout(
            [len(prompt.token_ids) for prompt in prompts],
            [len(ids) for ids in responses],
            owners,
            blocks=vlm.image_blocks(prompts),
            dtype=vlm.dtype,
            device=device,
        ),
        vision=vlm.vision(prompts),
        sources=torch.from_numpy(_sources(prompts, responses, owners)).to(device),
    )


def _sources(prompts: Sequence[Prompt], responses: Sequence[Ids], owners: Sequence[int]) -> Ids:
    """The first token of a response is predicted at its prompt's last token, each other one at the token before it."""
    last_of_prompt = np.cumsum([len(prompt.token_ids) for prompt in prompts]) - 1
    lengths = np.array([len(ids) for ids in responses], dtype=np.int64)
    held = lengths > 0
    firsts = (np.cumsum(lengths) - lengths)[held]
    sources = last_of_prompt[-1] + np.arange(lengths.sum())
    sources[firsts] = last_of_prompt[np.array(owners, dtype=np.int64)[held]]
    return sources
