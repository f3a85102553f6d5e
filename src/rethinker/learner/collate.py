"""Experiences to tensors: one line of tokens, [p1 | p2 … | r1 | r2 …], where a prompt and its images stand once.

Tensors are born here and live until the optimiser step. Each response sees its prompt and itself, never a sibling, and
its positions start where the prompt's end, so the line equals separate forwards (`models/packing.py`). An experience
drawn several times stands once, its weights multiplied: the loss and its gradient are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from rethinker.models.packing import Line, pack
from rethinker.models.vlm import VLM
from rethinker.types import Experience, Prompt, Rollout


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Row:
    """One prompt and the distinct experiences that share it, with how often each was chosen."""

    prompt: Prompt
    experiences: tuple[Experience, ...]
    times: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens that pass the model."""
        return len(self.prompt.token_ids) + sum(len(e.rollout.token_ids) for e in self.experiences)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Batch:
    """A micro-batch on the device. "tokens" runs over the response tokens, by row and experience.

    Attributes:
        line: What the model reads.
        stale: True for samples of an earlier policy version than the update's.
    """

    line: Line
    targets: Int[Tensor, " tokens"]
    behaviour: Float[Tensor, " tokens"]
    advantages: Float[Tensor, " tokens"]
    rl: Float[Tensor, " tokens"]
    imitation: Float[Tensor, " tokens"]
    sampled: Bool[Tensor, " tokens"]
    stale: Bool[Tensor, " tokens"]

    @property
    def slots(self) -> int:
        """Places in attention's tables; everything else runs without padding."""
        return self.line.layout.slots

    @property
    def padding(self) -> int:
        """Those of them that hold no token."""
        return self.line.layout.padding


def split(chosen: Sequence[Experience], vlm: VLM, *, share_prompts: bool, token_budget: int) -> list[list[Row]]:
    """Micro-batches of experience; of one response each, where the model cannot do otherwise."""
    packed = rows(chosen, share_prompts=share_prompts and vlm.shares_prompts)
    return micro_batches(packed, token_budget=token_budget if vlm.shares_prompts else 1)


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


def micro_batches(packed: Sequence[Row], *, token_budget: int) -> list[list[Row]]:
    """Split rows, sorted by length so that attention pads little, into batches of at most `token_budget` tokens.

    A row longer than the budget is split between its responses; a single response is never split.
    """
    pieces = sorted((piece for row in packed for piece in _fit(row, token_budget)), key=lambda row: -row.length)
    batches: list[list[Row]] = []
    room = 0
    for row in pieces:
        if row.length > room:
            batches.append([])
            room = token_budget
        batches[-1].append(row)
        room -= row.length
    return batches


def _fit(row: Row, budget: int) -> list[Row]:
    if row.length <= budget or len(row.experiences) == 1:
        return [row]
    half = len(row.experiences) // 2
    return [
        part
        for cut in (slice(None, half), slice(half, None))
        for part in _fit(Row(prompt=row.prompt, experiences=row.experiences[cut], times=row.times[cut]), budget)
    ]


def collate(packed: Sequence[Row], vlm: VLM, *, policy_version: int) -> Batch:
    """Turn rows into a batch on the model's device.

    Raises:
        ValueError: a response holds an id that is never sampled (an image placeholder, say).
    """
    flat = [pair for row in packed for pair in zip(row.experiences, row.times, strict=True)]
    _refuse_forbidden([experience.rollout for experience, _ in flat], vlm)
    line = pack(
        vlm,
        [row.prompt for row in packed],
        [experience.rollout.token_ids for experience, _ in flat],
        owners=[index for index, row in enumerate(packed) for _ in row.experiences],
    )
    return Batch(line=line, **_tokens(flat, vlm.device, policy_version))


def _refuse_forbidden(rollouts: Sequence[Rollout], vlm: VLM) -> None:
    forbidden = set(vlm.forbidden_ids)
    for rollout in rollouts:
        if bad := forbidden.intersection(rollout.token_ids.tolist()):
            name = rollout.prompt.problem_id
            raise ValueError(f"a response to {name} holds ids that are never sampled: {sorted(bad)}")


def _tokens(flat: Sequence[tuple[Experience, int]], device: torch.device, version: int) -> dict[str, Tensor]:
    """The per-token tensors of a batch, in order."""
    lengths = [len(e.rollout.token_ids) for e, _ in flat]

    def joined(arrays: list[Float32[np.ndarray, " tokens"]]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays)).to(device)

    def spread(values: list[float] | list[bool], dtype: type) -> Tensor:
        return torch.from_numpy(np.repeat(np.array(values, dtype=dtype), lengths)).to(device)

    return {
        "targets": joined([e.rollout.token_ids for e, _ in flat]),
        "behaviour": joined([e.rollout.logprobs for e, _ in flat]),
        "advantages": spread([e.advantage for e, _ in flat], np.float32),
        "rl": joined([e.rl * np.float32(times) for e, times in flat]),
        "imitation": joined([e.imitation * np.float32(times) for e, times in flat]),
        "sampled": joined([~e.rollout.forced for e, _ in flat]),
        "stale": spread([e.rollout.policy_version < version for e, _ in flat], np.bool_),
    }
