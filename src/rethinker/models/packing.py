"""How a packed batch attends: each prompt to itself, each response to its prompt and to itself.

A packed batch is one line of tokens without padding: all prompts, then all responses. Everything but attention runs on
that line. Attention needs tables, so its tokens are spread into one row per prompt and one row per response, padded
there alone, and gathered again. A layer that slides a window counts the tokens of prompt and response together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from rethinker.models.attention import CausalLayout, Layout, as_bias, padded
from rethinker.models.pixels import Pixels
from rethinker.models.vlm import VLM
from rethinker.types import Prompt


class Table:
    """Rows of unequal length laid end to end, and the same rows padded on the right to the longest."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        sizes = np.array(lengths, dtype=np.int64)
        self.rows, self.width = len(sizes), int(sizes.max(initial=0))
        filled = np.arange(self.width) < sizes[:, None]
        line = np.zeros(filled.shape, dtype=np.int64)  # padding repeats the first token; no query sees it
        line[filled] = np.arange(sizes.sum())
        self.filled = torch.from_numpy(filled).to(device)
        self._line = torch.from_numpy(line.ravel()).to(device)
        self._places = torch.from_numpy(np.flatnonzero(filled)).to(device)
        self._padding = None if filled.all() else torch.from_numpy(~filled.ravel()[:, None]).to(device)

    def spread(self, line: Float[Tensor, "tokens heads width"]) -> Float[Tensor, "rows columns heads width"]:
        """From the line to the table; without padding the two are one."""
        if self._padding is None:
            return line.unflatten(0, (self.rows, self.width))
        flat: Tensor = _Pick.apply(line.flatten(1), self._line, self._places, None)
        return flat.view(self.rows, self.width, *line.shape[1:])

    def gather(self, table: Float[Tensor, "rows columns heads width"]) -> Float[Tensor, "tokens heads width"]:
        """From the table to the line; padding is left behind."""
        if self._padding is None:
            return table.flatten(0, 1)
        flat: Tensor = _Pick.apply(table.flatten(0, 1).flatten(1), self._places, self._line, self._padding)
        return flat.view(-1, *table.shape[2:])


class _Pick(torch.autograd.Function):
    """Index rows where the way back is known: its gradient indexes too, and nothing is added up."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, index: Int[Tensor, " picked"], back: Int[Tensor, " rows"], unpicked: Tensor | None
    ) -> Tensor:
        ctx.back, ctx.unpicked = back, unpicked
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        found = gradient.index_select(0, ctx.back)
        return found if ctx.unpicked is None else found.masked_fill_(ctx.unpicked, 0), None, None, None


class PackedLayout(Layout):
    """Attention of one packed batch.

    Args:
        prompts: Length of each prompt.
        responses: Length of each response.
        owners: Index of each response's prompt.
        blocks: Of each prompt token, the image whose tokens see each other both ways (`CausalLayout`).
    """

    def __init__(
        self,
        prompts: Sequence[int],
        responses: Sequence[int],
        owners: Sequence[int],
        *,
        blocks: Sequence[Int64[np.ndarray, " prompt"]] | None = None,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._prompts, self._responses = Table(prompts, device), Table(responses, device)
        self._owners = torch.tensor(owners, dtype=torch.int64, device=device)
        self._cut, self._longest = int(sum(prompts)), self._prompts.width + self._responses.width
        self._dtype, self._device = dtype, device
        self._causal = CausalLayout(
            self._prompts.width,
            blocks=None if blocks is None else padded(blocks, fill=-1, device=device),
            dtype=dtype,
            device=device,
        )
        self._lengths = torch.tensor(prompts, device=device)[self._owners]
        self._biases: dict[int, Tensor] = {}

    @property
    def slots(self) -> int:
        """Places in both tables."""
        return self._prompts.filled.numel() + self._responses.filled.numel()

    @property
    def padding(self) -> int:
        """Places in both tables that hold no token."""
        return self.slots - int(self._prompts.filled.sum()) - int(self._responses.filled.sum())

    def _bias(self, window: int | None) -> Float[Tensor, "responses 1 width keys"]:
        """0 where a response token sees a key of [prompt | response], the type's minimum elsewhere; once per window."""
        reach = min(window or self._longest, self._longest)
        if reach not in self._biases:
            on_prompt = self._prompts.filled[self._owners][:, None].expand(-1, self._responses.width, -1)
            own = torch.arange(self._responses.width, device=self._device)
            back = own[:, None] - own
            if reach < self._longest:
                columns = torch.arange(self._prompts.width, device=self._device)
                on_prompt = on_prompt & (self._lengths[:, None, None] + own[:, None] - columns < reach)
            causal = ((back >= 0) & (back < reach)).expand(self._responses.rows, -1, -1)
            self._biases[reach] = as_bias(torch.cat([on_prompt, causal], dim=-1), self._dtype)[:, None]
        return self._biases[reach]

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scaling: float,
        window: int | None,
    ) -> Float[Tensor, "1 tokens heads width"]:
        """Two attentions: prompts are causal; a response has its prompt's keys before its own."""
        (prompt_q, response_q), (prompt_k, response_k), (prompt_v, response_v) = (
            self.split(states) for states in (query, key, value)
        )
        prompts = self._causal.attend(layer, prompt_q, prompt_k, prompt_v, scaling=scaling, window=window)
        if not self._responses.width:
            return self._prompts.gather(prompts)[None]
        responses = scaled_dot_product_attention(
            response_q,
            torch.cat([prompt_k.index_select(0, self._owners), response_k], dim=2),
            torch.cat([prompt_v.index_select(0, self._owners), response_v], dim=2),
            attn_mask=self._bias(window),
            scale=scaling,
            enable_gqa=True,
        )
        return torch.cat([self._prompts.gather(prompts), self._responses.gather(responses.transpose(1, 2))])[None]

    def split(self, states: Float[Tensor, "1 heads tokens width"]) -> tuple[Tensor, Tensor]:
        """Prompts and responses as tables, (rows, heads, columns, width) each."""
        prompts, responses = states[0].transpose(0, 1).split([self._cut, states.shape[2] - self._cut])
        return self._prompts.spread(prompts).transpose(1, 2), self._responses.spread(responses).transpose(1, 2)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Line:
    """What a packed forward reads, on the device: prompts, then responses, as a batch of one.

    Attributes:
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


Ids = Int64[np.ndarray, " tokens"]


def pack(vlm: VLM, prompts: Sequence[Prompt], responses: Sequence[Ids], owners: Sequence[int]) -> Line:
    """Lay prompts and responses end to end; a response goes on where its prompt's positions end.

    Args:
        owners: Index of each response's prompt.
    """
    device = vlm.device
    placed = [vlm.positions(prompt).numpy() for prompt in prompts]
    starts = [int(positions.max()) + 1 for positions in placed]
    axes = vlm.position_axes
    after = [np.tile(starts[owner] + np.arange(len(ids)), (axes, 1)) for owner, ids in zip(owners, responses)]
    ids = np.concatenate([*(prompt.token_ids for prompt in prompts), *responses])
    return Line(
        prompts=tuple(prompts),
        input_ids=torch.from_numpy(ids)[None].to(device),
        positions=torch.from_numpy(np.concatenate([*placed, *after], axis=1))[:, None].to(device),
        layout=PackedLayout(
            [len(prompt.token_ids) for prompt in prompts],
            [len(ids) for ids in responses],
            owners,
            blocks=vlm.image_blocks(prompts),
            dtype=vlm.module.dtype,
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
