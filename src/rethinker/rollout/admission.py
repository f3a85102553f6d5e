"""Which waiting samples may join those that decode: bounds on rows, on tokens read at once, on the cache's bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rethinker.interfaces import Request

Owner = tuple[Request, int]
"""Whose row it is: a request and which of its samples."""


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Some samples of a request."""

    request: Request
    samples: range

    @property
    def owners(self) -> list[Owner]:
        """A row for each."""
        return [(self.request, sample) for sample in self.samples]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The bounds of a decoding batch.

    Attributes:
        max_rows: Most rows.
        max_tokens: Most tokens of prompts and prefixes read in one forward; a request that has more is read alone.
        cache_bytes: Most bytes of keys and values once every row has grown to its limit. One row is always let in.
        token_bytes: Of one token, all layers together.
    """

    max_rows: int
    max_tokens: int
    cache_bytes: int
    token_bytes: int

    def next(self, waiting: deque[Part], held: Sequence[Owner], cached: Sequence[int]) -> list[Part]:
        """Take what is read next off the queue, in order; nothing where there is no room for the first.

        A request comes whole where an empty batch could hold it, for its samples share one reading of the prompt. So do
        requests of one prompt that are read together; one that is read later reads and caches it again.

        Args:
            cached: Tokens of each prompt that is cached.
        """
        rows, tokens = list(held), 0
        admitted: list[Part] = []
        read: dict[int, int] = {}
        while waiting:
            part = waiting[0]
            prompt = part.request.prompt
            tokens += len(part.request.prefix) + (0 if id(prompt) in read else len(prompt.token_ids))
            read[id(prompt)] = len(prompt.token_ids)
            count = self._room(part, rows, [*cached, *read.values()])
            whole = count == len(part.samples)
            if not count or not (whole or not rows) or (admitted and tokens > self.max_tokens):
                break
            waiting.popleft()
            if not whole:
                waiting.appendleft(replace(part, samples=part.samples[count:]))
            admitted.append(replace(part, samples=part.samples[:count]))
            rows += admitted[-1].owners
        return admitted

    def _room(self, part: Part, rows: Sequence[Owner], prompts: Sequence[int]) -> int:
        """How many of a part's samples fit beside these rows and prompts, in tables that are padded to the longest."""
        beside = [*rows, part.owners[0]]
        longest = max(len(request.prefix) + request.sampling.max_tokens for request, _ in beside)
        columns = self.cache_bytes // max(1, self.token_bytes) - len(prompts) * max(prompts)
        count = min(len(part.samples), self.max_rows - len(rows), columns // longest - len(rows))
        return max(0 if rows else 1, count)
