"""The torch engine's key-value cache: buffers of a fixed capacity that are written in place.

Rows can be repeated (a prompt's cache given to its siblings) and dropped (finished samples); nothing is concatenated
while decoding.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


class BufferLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, (rows, heads, capacity, width); columns up to `used` are filled."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.is_initialized: bool = False
        self._capacity = capacity
        self.used = 0

    def update(
        self,
        key_states: Float[Tensor, "rows heads new width"],
        value_states: Float[Tensor, "rows heads new width"],
        *_args: Any,
        **_kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Write new columns; return all that are filled, as views."""
        if not self.is_initialized:
            rows, heads, _, width = key_states.shape
            self.keys = key_states.new_empty(rows, heads, self._capacity, width)
            self.values = value_states.new_empty(rows, heads, self._capacity, value_states.shape[-1])
            self.is_initialized = True
        end = self.used + key_states.shape[2]
        self.keys[:, :, self.used : end] = key_states
        self.values[:, :, self.used : end] = value_states
        self.used = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Filled columns."""
        return self.used

    def pick(self, rows: Int[Tensor, " picked"]) -> None:
        """Keep these rows, in this order; one may be repeated. Only the filled columns are copied."""
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty(len(rows), *old.shape[1:])
            new[:, :, : self.used] = old[:, :, : self.used].index_select(0, rows)
            setattr(self, name, new)


class SiblingCache(Cache):  # type: ignore[misc]
    """A cache of `BufferLayer`s."""

    def __init__(self, *, layers: int, capacity: int) -> None:
        super().__init__(layers=[BufferLayer(capacity) for _ in range(layers)])

    def pick(self, rows: Int[Tensor, " picked"]) -> None:
        """Keep these rows in every layer (see `BufferLayer.pick`)."""
        for layer in self.layers:
            layer.pick(rows)
