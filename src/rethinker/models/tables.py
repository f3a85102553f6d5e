"""A packed line's attention by tables: rows of like length, padded on the right to the longest among them.

Everything but attention runs on the line, without padding. Attention wants rectangles, so the line is spread into
tables, a row per prompt and a row per response, and gathered again. Rows of unlike length stand in different tables, so
that little of any is padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from rethinker.models.attention import CausalLayout, PackedLayout, as_bias, padded
from rethinker.models.compiling import wholly_outside

_ALIKE = 0.85
"""The shortest row of a table has at least this share of the longest one's tokens."""

Lengths = Int64[np.ndarray, " rows"]


@dataclass(frozen=True, eq=False, slots=True)
class _Table:
    """Rows of one table, as indices into all rows, and its width."""

    rows: Int64[np.ndarray, " rows"]
    width: int

    @property
    def slots(self) -> int:
        return len(self.rows) * self.width


class _Spread:
    """All rows of a line in tables, and back.

    Args:
        starts: Where each row begins in the line.
        lengths: Tokens of each row, at least 1.
        tables: Every row stands in one of them.
    """

    def __init__(self, starts: Lengths, lengths: Lengths, tables: Sequence[_Table], device: torch.device) -> None:
        places, filled = [], []
        for table in tables:
            columns = np.arange(table.width)
            real = columns < lengths[table.rows, None]
            # Padding repeats its row's first token; nobody sees it.
            places.append(np.where(real, starts[table.rows, None] + columns, starts[table.rows, None]).ravel())
            filled.append(real.ravel())
        line, real = np.concatenate(places), np.concatenate(filled)
        back = np.empty(int(lengths.sum()), dtype=np.int64)
        back[line[real]] = np.flatnonzero(real)
        self._tables = tables
        self.padding = len(line) - len(back)
        self._same = not self.padding and bool((line == np.arange(len(line))).all())
        self._places, self._back = (torch.from_numpy(index).to(device) for index in (line, back))
        self._empty = torch.from_numpy(~real)[:, None].to(device) if self.padding else None

    def spread(self, line: Float[Tensor, "1 heads tokens width"]) -> list[Float[Tensor, "rows heads columns width"]]:
        """From the line to the tables."""
        flat = line[0].transpose(0, 1)
        heads = flat.shape[1:]
        if not self._same:
            flat = _Pick.apply(flat.flatten(1), self._places, self._back, None).unflatten(1, heads)
        parts = flat.split([table.slots for table in self._tables])
        return [
            part.unflatten(0, (len(table.rows), table.width)).transpose(1, 2)
            for part, table in zip(parts, self._tables, strict=True)
        ]

    def gather(
        self, tables: Sequence[Float[Tensor, "rows columns heads width"]]
    ) -> Float[Tensor, "1 tokens heads width"]:
        """From the tables to the line; padding is left behind."""
        heads = tables[0].shape[2:]
        flat = torch.cat([table.flatten(0, 1).flatten(1) for table in tables])
        if not self._same:
            flat = _Pick.apply(flat, self._back, self._places, self._empty)
        return flat.unflatten(1, heads)[None]


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


class _Share(torch.autograd.Function):
    """Give every response its prompt's states; their gradients are added up by one product, the same way every time."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, owners: Int[Tensor, " responses"]) -> Tensor:
        ctx.owners, ctx.prompts = owners, len(states)
        return states.index_select(0, owners)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        belongs = torch.arange(ctx.prompts, device=gradient.device)[:, None] == ctx.owners
        return (belongs.to(gradient.dtype) @ gradient.flatten(1)).view(-1, *gradient.shape[1:]), None


class _Responses:
    """A table of responses, and what its tokens see: their prompt's columns, and those of their own before them."""

    def __init__(
        self,
        table: _Table,
        lengths: Int[Tensor, " rows"],
        owners: Int[Tensor, " rows"],
        *,
        columns: int,
        dtype: torch.dtype,
    ) -> None:
        self._width, self._columns, self._dtype = table.width, columns, dtype
        self._owners, self._lengths = owners, lengths
        self._biases: dict[int, Tensor] = {}

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        prompts: tuple[Tensor, Tensor],
        scaling: float,
        window: int | None,
    ) -> Float[Tensor, "rows columns heads width"]:
        prompt_key, prompt_value = (_Share.apply(states[:, :, : self._columns], self._owners) for states in prompts)
        attended = scaled_dot_product_attention(
            query,
            torch.cat([prompt_key, key], dim=2),
            torch.cat([prompt_value, value], dim=2),
            attn_mask=self._bias(window),
            scale=scaling,
            enable_gqa=True,
        )
        return attended.transpose(1, 2)

    def _bias(self, window: int | None) -> Float[Tensor, "rows 1 width keys"]:
        """0 where a token sees a key of [prompt | response], the type's minimum elsewhere; once per window."""
        whole = self._columns + self._width
        reach = min(window or whole, whole)
        if reach not in self._biases:
            device = self._lengths.device
            at, own = torch.arange(self._columns, device=device), torch.arange(self._width, device=device)
            now = self._lengths[:, None, None] + own[:, None]
            on_prompt = (at < self._lengths[:, None, None]) & (now - at < reach)
            back = own[:, None] - own
            causal = ((back >= 0) & (back < reach)).expand(len(self._lengths), -1, -1)
            self._biases[reach] = as_bias(torch.cat([on_prompt, causal], dim=-1), self._dtype)[:, None]
        return self._biases[reach]


class TableLayout(PackedLayout):
    """Attention of a packed line by tables.

    Args:
        prompts: Length of each prompt.
        responses: Length of each response; empty ones take no part.
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
        lengths = np.array([*prompts, *responses], dtype=np.int64)
        starts = lengths.cumsum() - lengths
        asked, given = _tables(lengths[: len(prompts)], 0), _tables(lengths[len(prompts) :], len(prompts))
        self._spread = _Spread(starts, lengths, [*asked, *given], device)
        self._slots = sum(table.slots for table in (*asked, *given))
        self._prompts = [
            CausalLayout(
                table.width,
                blocks=None if blocks is None else padded([blocks[row] for row in table.rows], fill=-1, device=device),
                dtype=dtype,
                device=device,
            )
            for table in asked
        ]
        order = np.concatenate([table.rows for table in asked])
        self._widest = max(table.width for table in asked)
        places, of = np.argsort(order), np.array(owners, dtype=np.int64)
        self._responses = []
        for table in given:
            mine = of[table.rows - len(prompts)]
            self._responses.append(
                _Responses(
                    table,
                    torch.from_numpy(lengths[mine]).to(device),
                    torch.from_numpy(places[mine]).to(device),
                    columns=int(lengths[mine].max()),
                    dtype=dtype,
                )
            )

    @property
    def slots(self) -> int:
        """Places in all tables."""
        return self._slots

    @property
    def padding(self) -> int:
        """Places that hold no token."""
        return self._spread.padding

    @wholly_outside
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
        """Prompts are causal; a response has its prompt's keys before its own."""
        queries, keys, values = (self._spread.spread(states) for states in (query, key, value))
        cut = len(self._prompts)
        attended = [
            causal.attend(layer, *states, scaling=scaling, window=window)
            for causal, *states in zip(self._prompts, queries[:cut], keys[:cut], values[:cut], strict=True)
        ]
        if self._responses:
            prompts = self._one(keys[:cut]), self._one(values[:cut])
            attended += [
                each.attend(*states, prompts=prompts, scaling=scaling, window=window)
                for each, *states in zip(self._responses, queries[cut:], keys[cut:], values[cut:], strict=True)
            ]
        return self._spread.gather(attended)

    def _one(self, tables: Sequence[Tensor]) -> Float[Tensor, "prompts heads columns width"]:
        """The prompts' tables one under the other."""
        if len(tables) == 1:
            return tables[0]
        return torch.cat([pad(table, (0, 0, 0, self._widest - table.shape[2])) for table in tables])


def _tables(lengths: Lengths, first: int) -> list[_Table]:
    """Rows by falling length, cut where they get too short for the table; in order where one table holds them all.

    Args:
        first: Number of the first row among all.
    """
    rows = np.flatnonzero(lengths)
    if not len(rows):
        return []
    if lengths[rows].min() >= _ALIKE * lengths.max():
        return [_Table(rows + first, int(lengths.max()))]
    rows = rows[np.argsort(-lengths[rows], kind="stable")]
    tables: list[_Table] = []
    while len(rows):
        longest = int(lengths[rows[0]])
        alike = int((lengths[rows] >= _ALIKE * longest).sum())
        tables.append(_Table(rows[:alike] + first, longest))
        rows = rows[alike:]
    return tables
