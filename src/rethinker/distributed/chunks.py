"""Weights on their way between processes: flat arrays of bytes, which an object store holds and maps as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

_ALIGNED = 16
"""Bytes at which every weight begins, enough for any type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one weight lies in a chunk."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Chunk:
    """Some weights.

    Attributes:
        last: No further chunk follows.
    """

    places: tuple[Place, ...]
    bytes: UInt8[np.ndarray, " bytes"]
    last: bool


def chunked(weights: Iterable[tuple[str, Tensor]], *, limit: int) -> Iterator[Chunk]:
    """Weights in chunks of at most `limit` bytes, but at least one weight each; the last may be empty."""
    held: list[tuple[str, Tensor]] = []
    size = 0
    for name, weight in weights:
        if held and size + weight.nbytes > limit:
            yield _chunk(held, last=False)
            held, size = [], 0
        held.append((name, weight))
        size += _aligned(weight.nbytes)
    yield _chunk(held, last=True)


def unchunked(chunks: Iterable[Chunk]) -> Iterator[tuple[str, Tensor]]:
    """The weights again; they share the chunks' memory and may not be written to."""
    for chunk in chunks:
        for place in chunk.places:
            held = chunk.bytes[place.start : place.end]
            flat = torch.from_numpy(held).view(place.dtype) if len(held) else torch.empty(0, dtype=place.dtype)
            yield place.name, flat.view(place.shape)


def _chunk(weights: list[tuple[str, Tensor]], *, last: bool) -> Chunk:
    starts = np.cumsum([0, *(_aligned(weight.nbytes) for _, weight in weights)]).tolist()
    held = np.empty(starts[-1], dtype=np.uint8)
    places = []
    for (name, weight), start in zip(weights, starts):
        end = start + weight.nbytes
        held[start:end] = weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        places.append(Place(name=name, dtype=weight.dtype, shape=tuple(weight.shape), start=start, end=end))
    return Chunk(places=tuple(places), bytes=held, last=last)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
