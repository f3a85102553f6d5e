"""How rows decode together: on one cache that siblings share, or, where a model cannot share, by whole forwards.

A decoder takes in requests and gives each as many rows as it is told; it holds what the model remembers, and answers
each column of tokens with the scores of the next. Rows may come and go between any two columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rethinker.interfaces import Request
from rethinker.models.packing import pack
from rethinker.models.vlm import VLM
from rethinker.rollout.cache import SiblingCache

Scores = Float[Tensor, "rows vocabulary"]


class Decoder(ABC):
    """Rows that decode together."""

    @property
    @abstractmethod
    def prompt_lengths(self) -> list[int]:
        """Tokens of each prompt that is cached; one that several forwards read stands there as often."""

    @abstractmethod
    def admit(self, requests: Sequence[Request], counts: Sequence[int]) -> Scores:
        """Read prompts and prefixes; their rows, so many of each request, come after those there are."""

    @abstractmethod
    def advance(self, token_ids: Int[Tensor, " rows"]) -> Scores:
        """Read one more token of every row."""

    @abstractmethod
    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Drop all other rows; one at least is kept."""


def decoder(vlm: VLM) -> Decoder:
    """The decoder that the model allows."""
    return SharedDecoder(vlm) if vlm.shares_prompts else SeparateDecoder(vlm)


class SharedDecoder(Decoder):
    """Each prompt is read once with its images, each prefix once after it, and rows go on from that one cache."""

    def __init__(self, vlm: VLM) -> None:
        self._vlm = vlm
        self._cache = SiblingCache(layers=vlm.text_layers, dtype=vlm.dtype, device=vlm.device)
        self._next = torch.zeros(0, dtype=torch.int64, device=vlm.device)

    @property
    def prompt_lengths(self) -> list[int]:
        """Those of the cache."""
        return self._cache.prompt_lengths

    def admit(self, requests: Sequence[Request], counts: Sequence[int]) -> Scores:
        """One forward over a packed line of prompts and prefixes."""
        vlm, device = self._vlm, self._vlm.device
        prompts = list({id(request.prompt): request.prompt for request in requests}.values())
        index = {id(prompt): place for place, prompt in enumerate(prompts)}
        owners = [index[id(request.prompt)] for request in requests]
        line = pack(vlm, prompts, [request.prefix for request in requests], owners)
        self._cache.reading = True
        hidden = vlm.hidden(
            line.input_ids, positions=line.positions, layout=line.layout, vision=line.vision, cache=self._cache
        )
        self._cache.reading = False
        prompt_lengths = torch.tensor([len(prompt.token_ids) for prompt in line.prompts], device=device)
        lengths = torch.tensor([len(request.prefix) for request in requests], device=device)
        lines = torch.arange(len(requests), device=device).repeat_interleave(torch.tensor(counts, device=device))
        owned = torch.tensor(owners, device=device)
        most = torch.tensor([len(request.prefix) + request.sampling.max_tokens for request in requests], device=device)
        self._cache.take(
            owners=owned[lines],
            lines=lines,
            prompt_lengths=prompt_lengths,
            response_lengths=lengths,
            limits=most[lines],
        )
        on_prompt = prompt_lengths.cumsum(0) - 1
        last = torch.where(lengths > 0, on_prompt[-1] + lengths.cumsum(0), on_prompt[owned])
        starts = torch.tensor([int(vlm.positions(prompt).max()) + 1 for prompt in prompts], device=device)
        self._next = torch.cat([self._next, (starts[owned] + lengths)[lines]])
        return vlm.logits(hidden[0, last])[lines]

    def advance(self, token_ids: Int[Tensor, " rows"]) -> Scores:
        """One forward over the rows' new tokens."""
        self._cache.extend()
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
        self._cache.keep(rows)
        self._next = self._next[rows]


class SeparateDecoder(Decoder):
    """Every column is a whole forward of the model as it is; rows of one prompt and length are one batch."""

    def __init__(self, vlm: VLM) -> None:
        self._vlm = vlm
        self._rows: list[tuple[Request, Int[Tensor, " read"]]] = []

    @property
    def prompt_lengths(self) -> list[int]:
        """None: nothing is cached."""
        return []

    def admit(self, requests: Sequence[Request], counts: Sequence[int]) -> Scores:
        """Prompts and prefixes."""
        new = [
            (request, torch.from_numpy(request.prefix).to(self._vlm.device))
            for request, count in zip(requests, counts, strict=True)
            for _ in range(count)
        ]
        self._rows += new
        return self._scores(new)

    def advance(self, token_ids: Int[Tensor, " rows"]) -> Scores:
        """Everything again, one token longer."""
        self._rows = [
            (request, torch.cat([read, new[None]])) for (request, read), new in zip(self._rows, token_ids, strict=True)
        ]
        return self._scores(self._rows)

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Forget the other rows."""
        self._rows = [self._rows[row] for row in rows.tolist()]

    def _scores(self, rows: Sequence[tuple[Request, Tensor]]) -> Scores:
        alike: dict[tuple[int, int], list[int]] = {}
        for place, (request, read) in enumerate(rows):
            alike.setdefault((id(request.prompt), len(read)), []).append(place)
        scores = [
            self._vlm.separate_scores(
                rows[places[0]][0].prompt, torch.stack([rows[place][1] for place in places]), last=1
            )
            for places in alike.values()
        ]
        order = np.argsort(np.concatenate(list(alike.values())))
        return torch.cat([part[:, -1] for part in scores])[order.tolist()]
