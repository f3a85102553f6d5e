"""The torch engine's key-value cache: each prompt's keys once for all of its rows, each row's own beside them.

Siblings share their prompt's cache without a copy: all queries of a prompt meet its keys in one product, each row meets
its own keys in another, and one softmax spans both. Rows come and go while others decode, so each has a length of its
own. Taking rows in and out copies what stays; nothing else is copied, but the scores of one step.
"""

from __future__ import annotations

from typing import Any
from weakref import proxy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import Cache, DynamicLayer

from rethinker.models.attention import Layout, as_bias

_EVERYWHERE = 2**30
"""A window that nothing reaches beyond."""

_COLUMNS = 32
"""A row's own columns are made so many at a time at least, or half as many again as there are."""


class _Places:
    """Rows ↔ (prompts, siblings) places. Where prompts have fewer rows than others, places stay empty.

    Args:
        owners: Each row's prompt.
    """

    def __init__(self, owners: Int[Tensor, " rows"], prompts: int) -> None:
        counts = owners.bincount(minlength=prompts)
        self.prompts, self.siblings = prompts, int(counts.max())
        order = owners.argsort(stable=True)
        places = torch.empty_like(owners)
        places[order] = torch.arange(len(owners), device=owners.device) - (counts.cumsum(0) - counts)[owners[order]]
        self._places = places + owners * self.siblings
        self._rows = owners.new_zeros(prompts * self.siblings)  # an empty place repeats row 0, and nobody reads it
        in_order = torch.arange(len(owners), device=owners.device)
        self._rows[self._places] = in_order
        self._same = len(owners) == len(self._rows) and bool((self._places == in_order).all())

    def spread(self, states: Float[Tensor, "rows kv run n"]) -> Float[Tensor, "prompts kv queries n"]:
        """From rows to places: all queries of a prompt together."""
        placed = states if self._same else states.index_select(0, self._rows)
        by_prompt = placed.view(self.prompts, self.siblings, *placed.shape[1:]).transpose(1, 2)
        return by_prompt.reshape(self.prompts, placed.shape[1], -1, placed.shape[3])

    def gather(self, states: Float[Tensor, "prompts kv queries n"]) -> Float[Tensor, "rows kv run n"]:
        """From places to rows."""
        prompts, kv, queries, n = states.shape
        by_row = states.view(prompts, kv, self.siblings, queries // self.siblings, n).transpose(1, 2)
        placed = by_row.reshape(prompts * self.siblings, kv, -1, n)
        return placed if self._same else placed.index_select(0, self._places)


class SiblingLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values: (prompts, kv, columns, width), and of the rows' own tokens (rows, kv, …)."""

    prompt_keys: Tensor
    prompt_values: Tensor
    keys: Tensor
    values: Tensor

    def __init__(self, cache: SiblingCache) -> None:
        super().__init__()
        self.is_initialized: bool = True
        self._cache = proxy(cache)  # in a circle it would be freed some time, and it is most of what the engine holds
        self.read: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        """Hold what a packed line made, to be taken in, or write one column of every row; return what was given."""
        if self._cache.reading:
            self.read = (key_states, value_states)
        else:
            at = self._cache.newest
            self.keys[at], self.values[at] = key_states[:, :, 0], value_states[:, :, 0]
        return key_states, value_states

    def get_seq_length(self) -> int:
        """Nobody counts on it: positions are always given."""
        return 0

    def take(
        self, prompts: Int[Tensor, "prompts columns"], rows: Int[Tensor, "new_rows columns"], *, first: bool
    ) -> None:
        """Add what was just read, given where each prompt stands in the line, and what each new row goes on from."""
        assert self.read is not None
        new = tuple(states[0][:, at].transpose(0, 1).contiguous() for at in (prompts, rows) for states in self.read)
        self.read = None
        self._set(new if first else tuple(_under(held, more) for held, more in zip(self.tensors(), new, strict=True)))

    def keep(self, rows: Int[Tensor, " kept"], prompts: Int[Tensor, " kept_prompts"]) -> None:
        """Drop the rest."""
        self._set(tuple(held.index_select(0, at) for held, at in zip(self.tensors(), (prompts, prompts, rows, rows))))

    def widen(self, columns: int) -> None:
        """Make room for so many columns of the rows' own."""
        more = (0, 0, 0, columns - self.keys.shape[2])
        self.keys, self.values = pad(self.keys, more), pad(self.values, more)

    def tensors(self) -> tuple[Tensor, ...]:
        """The prompts' keys and values, the rows' keys and values."""
        return self.prompt_keys, self.prompt_values, self.keys, self.values

    def _set(self, states: tuple[Tensor, ...]) -> None:
        self.prompt_keys, self.prompt_values, self.keys, self.values = states


class SiblingCache(Cache, Layout):  # type: ignore[misc]
    """A cache of `SiblingLayer`s, and how decoding rows attend to it.

    A packed line is read (`reading` is on), `take`n in, and from then on every forward over all rows adds a token to
    each, once `extend` has made room for it.

    Attributes:
        lengths: Tokens that each row has of its own.
        newest: Where the last of them stands in the rows' table of keys.
    """

    def __init__(self, *, layers: int, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(layers=[SiblingLayer(self) for _ in range(layers)])
        self.reading = False
        self._dtype = dtype
        nothing = torch.zeros(0, dtype=torch.int64, device=device)
        self._owners = self._prompt_lengths = self.lengths = self._limits = nothing
        self._longest, self._even = 0, True
        self._biases: dict[int, tuple[Tensor | None, Tensor | None]] = {}

    @property
    def prompt_lengths(self) -> list[int]:
        """Tokens of each prompt that is held."""
        lengths: list[int] = self._prompt_lengths.tolist()
        return lengths

    def take(
        self,
        *,
        owners: Int[Tensor, " new_rows"],
        lines: Int[Tensor, " new_rows"],
        prompt_lengths: Int[Tensor, " prompts"],
        response_lengths: Int[Tensor, " responses"],
        limits: Int[Tensor, " new_rows"],
    ) -> None:
        """Take in what was just read.

        Args:
            owners: Each new row's prompt in the line.
            lines: Each new row's response in the line: what it goes on from.
            prompt_lengths: Tokens of each prompt of the line.
            response_lengths: Tokens of each response of the line.
            limits: Tokens each row may have of its own in the end.
        """
        starts = prompt_lengths.cumsum(0) - prompt_lengths
        after = prompt_lengths.sum() + response_lengths.cumsum(0) - response_lengths
        prompts, responses = _places(starts, prompt_lengths), _places(after, response_lengths)
        for layer in self.layers:
            layer.take(prompts, responses[lines], first=not len(self.lengths))
        lengths = response_lengths[lines]
        self._owners = torch.cat([self._owners, owners + len(self._prompt_lengths)])
        self._prompt_lengths = torch.cat([self._prompt_lengths, prompt_lengths])
        self.lengths = torch.cat([self.lengths, lengths])
        self._limits = torch.cat([self._limits, limits])
        self._arrange()

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Keep these rows and the prompts they belong to."""
        prompts, self._owners = self._owners[rows].unique(return_inverse=True)
        for layer in self.layers:
            layer.keep(rows, prompts)
        self._prompt_lengths = self._prompt_lengths[prompts]
        self.lengths, self._limits = self.lengths[rows], self._limits[rows]
        self._arrange()

    def extend(self) -> None:
        """Make room for one more token of every row; the next forward writes it."""
        self.lengths = self.lengths + 1
        self._longest += 1
        rows: Any = slice(None) if self._even else torch.arange(len(self.lengths), device=self.lengths.device)
        self.newest = (rows, slice(None), self._longest - 1 if self._even else self.lengths - 1)
        self._biases.clear()
        capacity = self.layers[0].keys.shape[2]
        if self._longest > capacity:
            limit = int(self._limits.max())  # an ended row goes beyond it until it is dropped
            most = limit if self._longest <= limit else self._longest + _COLUMNS
            for layer in self.layers:
                layer.widen(min(max(self._longest + _COLUMNS, capacity * 3 // 2), most))

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
        asked = (query * scaling).view(rows, key.shape[1], -1, width)
        keys, values = held.keys[:, :, : self._longest], held.values[:, :, : self._longest]
        on_prompt = self._places.gather(self._places.spread(asked) @ held.prompt_keys.transpose(2, 3))
        on_own = asked @ keys.transpose(2, 3)
        for scores, bias in zip((on_prompt, on_own), self._bias(window), strict=True):
            if bias is not None:
                scores += bias
        weights = torch.softmax(torch.cat([on_prompt, on_own], dim=-1), dim=-1, dtype=torch.float32).to(query.dtype)
        columns = held.prompt_keys.shape[2]
        attended = self._places.gather(self._places.spread(weights[..., :columns]) @ held.prompt_values)
        attended += weights[..., columns:] @ values
        return attended.reshape(rows, 1, heads, -1)

    def _arrange(self) -> None:
        """What follows from which rows there are."""
        self._places = _Places(self._owners, len(self._prompt_lengths))
        self._longest = int(self.lengths.max())
        self._even = bool((self.lengths == self._longest).all())
        self._biases.clear()

    def _bias(self, window: int | None) -> tuple[Tensor | None, Tensor | None]:
        """0 where a row's new token sees a column of its prompt, and of its own; None where it sees all. Per step."""
        columns = self.layers[0].prompt_keys.shape[2]
        reach = _EVERYWHERE if window is None or window >= columns + self._longest else window
        if reach not in self._biases:
            before, own = self._prompt_lengths[self._owners][:, None], self.lengths[:, None]
            on_prompt, on_own = (torch.arange(width, device=own.device) for width in (columns, self._longest))
            self._biases[reach] = (
                self._as_bias((on_prompt < before) & (before + own - 1 - on_prompt < reach)),
                self._as_bias((on_own < own) & (own - 1 - on_own < reach)),
            )
        return self._biases[reach]

    def _as_bias(self, seen: Bool[Tensor, "rows columns"]) -> Tensor | None:
        return None if bool(seen.all()) else as_bias(seen, self._dtype)[:, None, None]


def _places(starts: Int[Tensor, " rows"], lengths: Int[Tensor, " rows"]) -> Int[Tensor, "rows columns"]:
    """Where each row's tokens stand in a line, filled up to the longest with token 0."""
    columns = torch.arange(int(lengths.max()), device=lengths.device)
    return torch.where(columns < lengths[:, None], starts[:, None] + columns, 0)


def _under(held: Float[Tensor, "held kv columns n"], more: Float[Tensor, "new kv other n"]) -> Tensor:
    """Both, one under the other, filled up to as many columns."""
    columns = max(held.shape[2], more.shape[2])
    return torch.cat([pad(each, (0, 0, 0, columns - each.shape[2])) for each in (held, more)])
