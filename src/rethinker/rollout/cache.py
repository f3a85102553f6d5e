"""The torch engine's key-value cache: each prompt's keys once for all of its samples, each sample's own in a buffer.

Siblings share their prompt's cache without a copy: all queries of a prompt meet its keys in one product, each row meets
its own keys in another, and one softmax spans both. Rows live in a table, a line per prompt and a place per sibling;
finished ones can be dropped, and nothing is concatenated while decoding but the scores of one step.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from rethinker.models.attention import Layout, as_bias


class _Table:
    """Rows in prompt order ↔ (prompts, siblings) places. Where prompts have fewer rows than others, places stay empty.

    Args:
        owners: Each row's prompt, ascending.
    """

    def __init__(self, owners: Int[Tensor, " rows"], prompts: int) -> None:
        counts = owners.bincount(minlength=prompts)
        self.prompts, self.siblings = prompts, int(counts.max())
        within = torch.arange(len(owners), device=owners.device) - (counts.cumsum(0) - counts)[owners]
        self.owners, self.places = owners, owners * self.siblings + within
        self.full = len(owners) == prompts * self.siblings
        self._rows = owners.new_zeros(prompts * self.siblings)  # an empty place repeats row 0, and nobody reads it
        self._rows[self.places] = torch.arange(len(owners), device=owners.device)

    def spread(self, states: Float[Tensor, "rows kv run n"]) -> Float[Tensor, "prompts kv siblings run n"]:
        """From rows to places."""
        placed = states if self.full else states[self._rows]
        return placed.view(self.prompts, self.siblings, *states.shape[1:]).transpose(1, 2)

    def gather(self, states: Float[Tensor, "prompts kv siblings run n"]) -> Float[Tensor, "rows kv run n"]:
        """From places to rows."""
        rows = states.transpose(1, 2).flatten(0, 1)
        return rows if self.full else rows[self.places]


class SiblingLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values: the prompts' as first written, then the rows' own, column by column."""

    def __init__(self) -> None:
        super().__init__()
        self.is_initialized: bool = False
        self.used = 0

    def update(
        self,
        key_states: Float[Tensor, "rows kv new width"],
        value_states: Float[Tensor, "rows kv new width"],
        *_args: Any,
        **_kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Keep the prompts' (the first call) or write the rows' new column; return what was given."""
        if not self.is_initialized:
            self.prompt_keys, self.prompt_values = key_states, value_states
            self.is_initialized = True
        else:
            self._keys[..., self.used, :] = self._table.spread(key_states)[..., 0, :]
            self._values[..., self.used, :] = self._table.spread(value_states)[..., 0, :]
            self.used += 1
        return key_states, value_states

    def get_seq_length(self) -> int:
        """Columns of a row: its prompt's and its own."""
        return int(self.prompt_keys.shape[2]) + self.used if self.is_initialized else 0

    def own(self, window: int | None) -> tuple[Float[Tensor, "places own width"], Float[Tensor, "places own width"]]:
        """Filled columns of the rows' own keys and values, the last `window` where there is one.

        Places run over prompts, key heads and siblings.
        """
        seen = slice(0 if window is None else max(0, self.used - window), self.used)
        return self._keys.flatten(0, 2)[:, seen], self._values.flatten(0, 2)[:, seen]

    def reserve(self, table: _Table, capacity: int) -> None:
        """Make room for the rows' own columns."""
        _, kv, _, width = self.prompt_keys.shape
        shape = (table.prompts, kv, table.siblings, capacity)
        self._table = table
        self._keys = self.prompt_keys.new_zeros(*shape, width)
        self._values = self.prompt_values.new_zeros(*shape, self.prompt_values.shape[-1])

    def move(self, table: _Table, rows: Int[Tensor, " kept"], prompts: Int[Tensor, " kept_prompts"]) -> None:
        """Go to another table that holds these rows and prompts of the present one."""
        old, used = (self._table, self._keys, self._values), self.used
        self.prompt_keys, self.prompt_values = self.prompt_keys[prompts], self.prompt_values[prompts]
        self.reserve(table, self._keys.shape[3])
        for new, held in ((self._keys, old[1]), (self._values, old[2])):
            new[..., :used, :] = table.spread(old[0].gather(held[..., :used, :])[rows])


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
            visible: False where a prompt is padding, on its right.
            dtype: Type of the attention scores.
            capacity: Most tokens of a row's own.
        """
        self._bias = as_bias(visible, dtype)[:, None, None]
        self._lengths = visible.sum(1)
        self._table = _Table(owners, len(visible))
        for layer in self.layers:
            layer.reserve(self._table, capacity)

    def pick(self, rows: Int[Tensor, " kept"]) -> None:
        """Keep these rows, ascending, and the prompts they belong to."""
        prompts, owners = self._table.owners[rows].unique(return_inverse=True)
        self._bias, self._lengths = self._bias[prompts], self._lengths[prompts]
        self._table = _Table(owners, len(prompts))
        for layer in self.layers:
            layer.move(self._table, rows, prompts)

    def _prompt_bias(self, held: SiblingLayer, window: int | None) -> Float[Tensor, "prompts 1 1 columns"]:
        """0 where the new token, which stands after its prompt and what its row holds, sees a prompt's column."""
        columns = self._bias.shape[-1]
        if window is None or window >= columns + held.used:
            return self._bias
        now = self._lengths + held.used - 1
        seen = now[:, None] - torch.arange(columns, device=now.device) < window
        return self._bias.masked_fill(~seen[:, None, None], torch.finfo(self._bias.dtype).min)

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,  # noqa: ARG002 (what is new stands in the cache already)
        *,
        scaling: float,
        window: int | None,
    ) -> Float[Tensor, "rows 1 heads width"]:
        """Attention of each row's new token to its prompt and to what the row holds."""
        held: SiblingLayer = self.layers[layer]
        rows, heads, _, width = query.shape
        kv = key.shape[1]
        keys, values = held.own(window)
        columns = held.prompt_keys.shape[2]
        asked = self._table.spread((query * scaling).view(rows, kv, -1, width))
        prompts, _, siblings, run, _ = asked.shape
        asked = asked.reshape(prompts, kv, siblings * run, width)
        on_prompt = asked @ held.prompt_keys.transpose(2, 3) + self._prompt_bias(held, window)
        on_own = asked.view(-1, run, width) @ keys.transpose(1, 2)
        scores = torch.cat([on_prompt, on_own.view(prompts, kv, siblings * run, -1)], dim=-1)
        weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
        attended = weights[..., :columns] @ held.prompt_values
        attended += (weights[..., columns:].reshape(-1, run, keys.shape[1]) @ values).view(attended.shape)
        return self._table.gather(attended.view(prompts, kv, siblings, run, -1)).reshape(rows, 1, heads, -1)
