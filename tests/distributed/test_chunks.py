from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from rethinker.distributed.chunks import chunked, unchunked

TYPES = [torch.float32, torch.bfloat16, torch.int64, torch.bool]


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 4), max_size=3), st.sampled_from(TYPES)), max_size=8),
    st.integers(1, 500),
)
def test_weights_come_out_as_they_went_in(shapes: list[tuple[list[int], torch.dtype]], limit: int) -> None:
    weights = [
        (f"w{i}", (torch.arange(64)[: _size(shape)] * 3 - 5).view(shape).to(t)) for i, (shape, t) in enumerate(shapes)
    ]
    chunks = list(chunked(iter(weights), limit=limit))
    found = list(unchunked(chunks))
    assert [name for name, _ in found] == [name for name, _ in weights]
    assert all(a.dtype == b.dtype and torch.equal(a, b) for (_, a), (_, b) in zip(found, weights))
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert all(len(chunk.bytes) <= limit + 16 or len(chunk.places) == 1 for chunk in chunks)


def _size(shape: list[int]) -> int:
    return int(torch.Size(shape).numel())
