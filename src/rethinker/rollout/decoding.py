"""How a wave of rows is decoded: on one cache that siblings share, or, where a model cannot share, by whole forwards.

A decoder is given requests and rows of them, in order of their requests; it holds what the model remembers, and
answers each column of tokens with the scores of the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from rethinker.interfaces import Request
from rethinker.models.attention import CausalLayout, padded
from rethinker.models.vlm import VLM
from rethinker.rollout.cache import SiblingCache

Scores = Float[Tensor, "rows vocabulary"]


class Decoder(ABC):
    """Rows that decode together."""

    @abstractmethod
    def start(self) -> Scores:
        """Read prompts and prefixes."""

    @abstractmethod
    def advance(self, token_ids: Int[Tensor, " rows"]) -> Scores:
        """Read one more token of every row."""

    @abstractmethod
    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Drop all other rows."""


def decoder(vlm: VLM, requests: Sequence[Request], owners: Sequence[int]) -> Decoder:
    """The decoder that the model allows.

    Args:
        owners: Index of each row's request, ascending.
    """
    rows = torch.tensor(owners, device=vlm.device)
    return (SharedDecoder if vlm.shares_prompts else SeparateDecoder)(vlm, requests, rows)


class SharedDecoder(Decoder):
    """Each request is read once, its images too, and its rows go on from that one cache."""

    def __init__(self, vlm: VLM, requests: Sequence[Request], owners: Int[Tensor, " rows"]) -> None:
        self._vlm, self._requests, self._owners = vlm, requests, owners
        self._cache = SiblingCache(layers=vlm.text_layers)

    def start(self) -> Scores:
        """One forward over prompts and prefixes, padded on the right."""
        vlm, device = self._vlm, self._vlm.device
        prompts = [request.prompt for request in self._requests]
        lines = [np.concatenate([request.prompt.token_ids, request.prefix]) for request in self._requests]
        lengths = torch.tensor([len(line) for line in lines], device=device)
        ids = padded(lines, fill=vlm.pad_id, device=device)
        placed = [self._positions(request) for request in self._requests]
        positions = torch.stack([padded(axis, fill=0, device=device) for axis in zip(*placed, strict=True)])
        hidden = vlm.hidden(
            ids,
            positions=positions,
            layout=CausalLayout(
                ids.shape[1],
                blocks=self._blocks(),
                dtype=vlm.module.dtype,
                device=device,
            ),
            vision=vlm.vision(prompts),
            cache=self._cache,
        )
        visible = torch.arange(ids.shape[1], device=device) < lengths[:, None]
        most = max(request.sampling.max_tokens for request in self._requests)
        self._cache.share(self._owners, visible, dtype=hidden.dtype, capacity=most)
        self._next = (positions.amax((0, 2)) + 1)[self._owners]
        return vlm.logits(hidden[torch.arange(len(ids), device=device), lengths - 1])[self._owners]

    def advance(self, token_ids: Int[Tensor, " rows"]) -> Scores:
        """One forward over the rows' new tokens."""
        hidden = self._vlm.hidden(
            token_ids[:, None],
            positions=self._next.expand(self._vlm.position_axes, -1)[..., None],
            layout=self._cache,
            vision={},
            cache=self._cache,
        )
        self._next = self._next + 1
        return self._vlm.logits(hidden[:, -1])

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Drop the other rows' cache, and that of prompts without rows."""
        self._cache.pick(rows)
        self._next = self._next[rows]

    def _positions(self, request: Request) -> Int64[np.ndarray, "axes length"]:
        """Of prompt ⊕ prefix."""
        prompt = self._vlm.positions(request.prompt).numpy()
        after = int(prompt.max()) + 1 + np.arange(len(request.prefix))
        return np.concatenate([prompt, np.tile(after, (len(prompt), 1))], axis=1)

    def _blocks(self) -> Int[Tensor, "requests length"] | None:
        """Of prompt ⊕ prefix; no prefix has an image."""
        blocks = self._vlm.image_blocks([request.prompt for request in self._requests])
        if blocks is None:
            return None
        lines = [
            np.concatenate([block, np.full(len(request.prefix), -1)])
            for block, request in zip(blocks, self._requests, strict=True)
        ]
        return padded(lines, fill=-1, device=self._vlm.device)


class SeparateDecoder(Decoder):
    """Every column is a whole forward of the model as it is; the rows of a request are one batch, alike in length."""

    def __init__(self, vlm: VLM, requests: Sequence[Request], owners: Int[Tensor, " rows"]) -> None:
        self._vlm, self._requests, self._owners = vlm, requests, owners
        self._read = [torch.from_numpy(requests[owner].prefix).to(vlm.device) for owner in owners.tolist()]

    def start(self) -> Scores:
        """Prompts and prefixes."""
        return self._scores()

    def advance(self, token_ids: Int[Tensor, " rows"]) -> Scores:
        """Everything again, one token longer."""
        self._read = [torch.cat([held, new[None]]) for held, new in zip(self._read, token_ids, strict=True)]
        return self._scores()

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Forget the other rows."""
        self._read = [self._read[row] for row in rows.tolist()]
        self._owners = self._owners[rows]

    def _scores(self) -> Scores:
        parts = []
        for owner in self._owners.unique().tolist():
            siblings = torch.stack([self._read[row] for row in (self._owners == owner).nonzero()[:, 0].tolist()])
            parts.append(self._vlm.separate_scores(self._requests[owner].prompt, siblings)[:, -1])
        return torch.cat(parts)
