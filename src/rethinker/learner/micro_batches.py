"""An update's experience cut into micro-batches: a budget of tokens bounds their memory, equal cost their waiting.

The cost of a row is counted, not timed: a cut that followed the clock would add gradients up in another order in every
run. `benchmarks/scaling.py` shows how far seconds follow the count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from math import ceil

import numpy as np

from rethinker.models.vlm import VLM
from rethinker.types import Experience, Outcome, Problem, Prompt, Rollout, Verdict


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


def split(
    chosen: Sequence[Experience], vlm: VLM, *, share_prompts: bool, token_budget: int, ranks: int = 1
) -> list[list[Row]]:
    """Micro-batches of experience; of one response each, where the model cannot do otherwise.

    With several ranks they are to be dealt out in turn: `ranks` neighbours run at the same time.
    """
    packed = rows(chosen, share_prompts=share_prompts and vlm.shares_prompts)
    if not vlm.shares_prompts:
        pieces = [piece for row in packed for piece in _fit(row, 1)]
        return [[piece] for piece in (pieces if ranks == 1 else sorted(pieces, key=lambda row: -row.length))]

    def cost(row: Row) -> float:
        return vlm.cost(row.prompt, row.lengths)

    return micro_batches(packed, cost=cost, token_budget=token_budget, ranks=ranks)


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


def micro_batches(
    packed: Sequence[Row], *, cost: Callable[[Row], float], token_budget: int, ranks: int = 1
) -> list[list[Row]]:
    """Split rows into as few batches of at most `token_budget` tokens as will do, of about the same cost.

    Rows of like length stay together, so that attention pads little. A row longer than the budget is split between its
    responses, and with several ranks one that is half as long again as a rank's share, though its prompt is then passed
    more than once; a single response is never split. Costs are made alike for a multiple of `ranks` batches.
    """
    longest = token_budget
    if ranks > 1:
        longest = min(token_budget, ceil(1.5 * sum(row.length for row in packed) / ranks))
    pieces = sorted((piece for row in packed for piece in _fit(row, longest)), key=lambda row: -row.length)
    if not pieces:
        return []
    costs = np.cumsum([cost(piece) for piece in pieces])
    fewest = ceil(sum(piece.length for piece in pieces) / token_budget)
    for batches in count(ranks * ceil(fewest / ranks), ranks):
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


def blank(vlm: VLM) -> Row:
    """What a rank runs that has nothing, beside others that have: one token that weighs nothing."""
    problem = Problem(id="blank", images=(), question="blank", answer="none", verifier="text")
    token = next(i for i in range(vlm.vocabulary) if i not in vlm.forbidden_ids)
    nothing = np.zeros(1, dtype=np.float32)
    rollout = Rollout(
        prompt=vlm.encode(problem, "plain"),
        sample=0,
        token_ids=np.array([token], dtype=np.int64),
        logprobs=nothing,
        forced=np.ones(1, dtype=np.bool_),
        text="",
        finish_reason="length",
        policy_version=0,
        verdict=Verdict(outcome=Outcome.WRONG, reward=0.0, extracted=None),
    )
    experience = Experience(rollout=rollout, advantage=0.0, rl=nothing, imitation=nothing)
    return Row(prompt=rollout.prompt, experiences=(experience,), times=(1,))
