"""An update's experience cut into micro-batches: a budget of tokens bounds their memory, equal cost their waiting.

The cost of a row is counted, not timed: a cut that followed the clock would add gradients up in another order in every
run. `benchmarks/scaling.py` shows how far seconds follow the count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np

from rethinker.models.vlm import VLM
from rethinker.types import Experience, Prompt


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Row:
    """One prompt and the distinct experiences that share it, with how often each was chosen."""

    prompt: Prompt
    experiences: tuple[Experience, ...]
    times: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens that pass the model."""
        return len(self.prompt.token_ids) + sum(self.lengths)

    @property
    def lengths(self) -> list[int]:
        """Of each response."""
        return [len(e.rollout.token_ids) for e in self.experiences]


def split(chosen: Sequence[Experience], vlm: VLM, *, share_prompts: bool, token_budget: int) -> list[list[Row]]:
    """Micro-batches of experience; of one response each, where the model cannot do otherwise."""
    packed = rows(chosen, share_prompts=share_prompts and vlm.shares_prompts)
    if not vlm.shares_prompts:
        return [[piece] for row in packed for piece in _fit(row, 1)]
    return micro_batches(packed, cost=lambda row: vlm.cost(row.prompt, row.lengths), token_budget=token_budget)


def rows(chosen: Sequence[Experience], *, share_prompts: bool = True) -> list[Row]:
    """Gather experiences by prompt (or one row each), in order of first appearance."""
    times: dict[int, int] = {}
    distinct: dict[int, list[Experience]] = {}
    for experience in chosen:
        times[id(experience)] = times.get(id(experience), 0) + 1
        if times[id(experience)] == 1:
            place = id(experience.rollout.prompt) if share_prompts else id(experience)
            distinct.setdefault(place, []).append(experience)
    return [
        Row(prompt=group[0].rollout.prompt, experiences=tuple(group), times=tuple(times[id(e)] for e in group))
        for group in distinct.values()
    ]


def micro_batches(packed: Sequence[Row], *, cost: Callable[[Row], float], token_budget: int) -> list[list[Row]]:
    """Split rows into as few batches of at most `token_budget` tokens as will do, of about the same cost.

    Rows of like length stay together, so that attention pads little. A row longer than the budget is split between its
    responses; a single response is never split.
    """
    pieces = sorted((piece for row in packed for piece in _fit(row, token_budget)), key=lambda row: -row.length)
    if not pieces:
        return []
    costs = np.cumsum([cost(piece) for piece in pieces])
    for batches in count(-(-sum(piece.length for piece in pieces) // token_budget)):
        middles = costs - np.diff(costs, prepend=0) / 2
        shares = np.minimum(middles * batches / costs[-1], batches - 1e-9).astype(int)
        bounds = [0, *(np.flatnonzero(np.diff(shares)) + 1).tolist(), len(pieces)]
        cut = [pieces[start:end] for start, end in pairwise(bounds)]
        if all(len(batch) == 1 or sum(row.length for row in batch) <= token_budget for batch in cut):
            return cut
    raise AssertionError("enough batches hold a piece each")


def _fit(row: Row, budget: int) -> list[Row]:
    if row.length <= budget or len(row.experiences) == 1:
        return [row]
    half = len(row.experiences) // 2
    return [
        part
        for cut in (slice(None, half), slice(half, None))
        for part in _fit(Row(prompt=row.prompt, experiences=row.experiences[cut], times=row.times[cut]), budget)
    ]
