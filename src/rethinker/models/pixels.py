"""Pixel tensors: made once per prompt, kept between the engine and the learner, joined for a batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock
from weakref import ref

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import pad

from rethinker.types import Prompt

Pixels = dict[str, Tensor]
"""A processor's tensors for the vision tower, by the model's own keyword."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Prepared:
    """What a processor made of one prompt.

    Attributes:
        token_types: The processor's marks of what each token is, by the model's own keyword.
        positions: One axis, or 3 under multimodal RoPE.
    """

    pixels: Pixels
    token_types: dict[str, Int[Tensor, "1 prompt"]]
    positions: Int[Tensor, "axes prompt"]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(value.nbytes for value in (*self.pixels.values(), *self.token_types.values(), self.positions))


class PixelCache:
    """The prompts last used, as many as fit in `limit` bytes; always the very last.

    What was made for a prompt goes when the prompt does: else a long run fills the room with what nobody can ask for.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[int, tuple[ref[Prompt], Prepared]] = OrderedDict()
        self._lock = RLock()  # a prompt may go in any thread, and in the middle of `put`
        self.nbytes = 0

    def get(self, prompt: Prompt) -> Prepared | None:
        """What was put for this very prompt."""
        with self._lock:
            held = self._held.get(id(prompt))
            if held is None:
                return None
            self._held.move_to_end(id(prompt))
            return held[1]

    def put(self, prompt: Prompt, prepared: Prepared) -> None:
        """Keep what was made; forget the longest unused where room is short."""
        key = id(prompt)  # nobody else's before the entry is gone
        with self._lock:
            self._drop(key)
            self._held[key] = (ref(prompt, lambda _: self._drop(key)), prepared)
            self.nbytes += prepared.nbytes
            while self.nbytes > self._limit and len(self._held) > 1:
                self._drop(next(iter(self._held)))

    def _drop(self, key: int) -> None:
        with self._lock:
            held = self._held.pop(key, None)
            if held is not None:
                self.nbytes -= held[1].nbytes


def join(parts: Sequence[Pixels]) -> Pixels:
    """Several prompts' tensors, one after the other.

    Every axis but the first is filled up with zeros to the longest: families that tile an image know an empty tile by
    its zeros or from the image's size.
    """
    return {name: _joined([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    longest = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    return torch.cat([_filled(tensor, longest) for tensor in tensors])


def _filled(tensor: Tensor, sizes: list[int]) -> Tensor:
    missing = [size - had for size, had in zip(sizes, tensor.shape[1:], strict=True)]
    return pad(tensor, [edge for short in reversed(missing) for edge in (0, short)]) if any(missing) else tensor
