"""The torch engine's key-value cache: each prompt's keys once for all of its samples, each sample's own in a buffer.

Siblings share their prompt's cache without a copy: all queries of a prompt meet its keys in one product, each row meets
its own keys in another, and one softmax spans both. Rows can be dropped; nothing is concatenated while decoding.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from rethinker.models.attention import Layout


class SiblingLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values: the prompts' as first written, then the rows' own, column by column."""

    def __init__(self) -> None:
        super().__init__()
        self.is_initialized: bool = False
        self.used = 0

    def update(
        self,
        key_states: Float[Tensor, "rows heads new width"],
        value_states: Float[Tensor, "rows heads new width"],
        *_args: Any,
        **_kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Keep the prompts' (the first call) or write the rows' new column; return what was written so far of them."""
        if not self.is_initialized:
            self.prompt_keys, self.prompt_values = key_states, value_states
            self.is_initialized = True
            return key_states, value_states
        self.keys[:, :, self.used] = key_states[:, :, 0]
        self.values[:, :, self.used] = value_states[:, :, 0]
        self.used += 1
        return self.keys[:, :, : self.used], self.values[:, :, : self.used]

    def get_seq_length(self) -> int:
        """Columns of a row: its prompt's and its own."""
        return int(self.prompt_keys.shape[2]) + self.used if self.is_initialized else 0

    def reserve(self, rows: int, capacity: int) -> None:
        """Make room for the rows' own columns."""
        _, heads, _, width = self.prompt_keys.shape
        self.keys = self.prompt_keys.new_empty(rows, heads, capacity, width)
        self.values = self.prompt_values.new_empty(rows, heads, capacity, self.prompt_values.shape[-1])

    def pick(self, rows: Int[Tensor, " picked"], prompts: Int[Tensor, " kept"]) -> None:
        """Keep these rows and prompts. Only filled columns are copied."""
        self.prompt_keys, self.prompt_values = self.prompt_keys[prompts], self.prompt_values[prompts]
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty(len(rows), *old.shape[1:])
            new[:, :, : self.used] = old[:, :, : self.used].index_select(0, rows)
            setattr(self, name, new)


class SiblingCache(Cache, Layout):  # type: ignore[misc]
    """A cache of `SiblingLayer`s, and how decoding rows attend to it.

    It is filled by one forward over the prompts, then `share`d out to rows.
    """

    def __init__(self, *, layers: int) -> None:
        super().__init__(layers=[SiblingLayer() for _ in range(layers)])

    def share(
        self,
        owners: Int[Tensor, " rows"],
        visible: Bool[Tensor, "prompts columns"],
        *,
        dtype: torch.dtype,
        capacity: int,
    ) -> None:
        """Give each row the prompt it belongs to.

        Args:
            owners: Each row's prompt, ascending.
            visible: False where a prompt is padding.
            capacity: Most tokens of a row's own.
        """
        hidden = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
        self._bias = hidden.masked_fill_(~visible, torch.finfo(dtype).min)[:, None, None]
        self._group(owners, len(visible))
        for layer in self.layers:
            layer.reserve(len(owners), capacity)

    def pick(self, rows: Int[Tensor, " picked"]) -> None:
        """Keep these rows, ascending, and the prompts they belong to."""
        prompts, owners = self._owners[rows].unique(return_inverse=True)
        self._bias = self._bias[prompts]
        self._group(owners, len(prompts))
        for layer in self.layers:
            layer.pick(rows, prompts)

    def _group(self, owners: Int[Tensor, " rows"], prompts: int) -> None:
        """Place rows in a table, a line per prompt: `_slots` says where each row stands, `_table` who stands there."""
        counts = owners.bincount(minlength=prompts)
        most = int(counts.max())
        within = torch.arange(len(owners), device=owners.device) - (counts.cumsum(0) - counts)[owners]
        self._owners, self._slots = owners, owners * most + within
        self._table = owners.new_zeros(prompts * most)  # an empty place repeats row 0; nobody reads it
        self._table[self._slots] = torch.arange(len(owners), device=owners.device)

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, *, scaling: float
    ) -> Float[Tensor, "rows 1 heads width"]:
        """Attention of each row's new token to its prompt and to what the row holds."""
        held: SiblingLayer = self.layers[layer]
        rows, heads, _, width = query.shape
        asked = (query * scaling).view(rows, key.shape[1], -1, width)
        on_prompt = self._by_row(self._by_prompt(asked) @ held.prompt_keys.transpose(2, 3) + self._bias)
        scores = torch.cat([on_prompt, asked @ key.transpose(2, 3)], dim=-1)
        weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
        on_prompt, own = weights.split([on_prompt.shape[-1], key.shape[2]], dim=-1)
        attended = self._by_row(self._by_prompt(on_prompt) @ held.prompt_values) + own @ value
        return attended.view(rows, 1, heads, width)

    def _by_prompt(self, states: Float[Tensor, "rows kv run n"]) -> Float[Tensor, "prompts kv siblings_run n"]:
        """Queries of a prompt's rows, one below the other."""
        _, kv, run, n = states.shape
        table = states[self._table].view(len(self._bias), -1, kv, run, n)
        return table.transpose(1, 2).reshape(len(table), kv, -1, n)

    def _by_row(self, states: Float[Tensor, "prompts kv siblings_run n"]) -> Float[Tensor, "rows kv run n"]:
        """Undo `_by_prompt`."""
        prompts, kv, together, n = states.shape
        siblings = len(self._table) // prompts
        table = states.view(prompts, kv, siblings, together // siblings, n).transpose(1, 2)
        return table.reshape(prompts * siblings, kv, -1, n)[self._slots]
