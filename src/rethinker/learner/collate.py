"""Experiences to tensors: one row per prompt, [prompt | r1 | r2 …], so its tokens and images pass the model once.

Tensors are born here and live until the optimiser step. Each response sees its prompt and itself, never a sibling, and
its positions start where the prompt's end, so a row equals separate forwards. An experience drawn several times stands
once, its weights multiplied: the loss and its gradient are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from rethinker.models.vlm import VLM
from rethinker.types import Experience, Prompt

PAD = -1
PROMPT = 0


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Row:
    """One prompt and the distinct experiences that share it, with how often each was chosen."""

    prompt: Prompt
    experiences: tuple[Experience, ...]
    times: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens of the packed row."""
        return len(self.prompt.token_ids) + sum(len(e.rollout.token_ids) for e in self.experiences)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Batch:
    """A micro-batch on the device. "tokens" runs over the response tokens of all rows, in row order.

    Attributes:
        segments: 0 for prompt tokens, 1, 2, … for a row's responses, -1 for padding.
        sources: Flat index (row · length + column) of the position that predicts each response token.
        stale: True for samples of an earlier policy version than the update's.
    """

    input_ids: Int[Tensor, "rows length"]
    positions: Int[Tensor, "axes rows length"]
    segments: Int[Tensor, "rows length"]
    vision: dict[str, Tensor]
    sources: Int[Tensor, " tokens"]
    targets: Int[Tensor, " tokens"]
    behaviour: Float[Tensor, " tokens"]
    advantages: Float[Tensor, " tokens"]
    rl: Float[Tensor, " tokens"]
    imitation: Float[Tensor, " tokens"]
    sampled: Bool[Tensor, " tokens"]
    stale: Bool[Tensor, " tokens"]

    @property
    def padding(self) -> int:
        """Padded positions."""
        return int((self.segments == PAD).sum())


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
    """Split rows, sorted by length to pad little, so that rows × longest stays within the budget.

    A row longer than the budget is split between its responses; a single response is never split.
    """
    pieces = sorted((piece for row in packed for piece in _fit(row, token_budget)), key=lambda row: -row.length)
    batches: list[list[Row]] = []
    for row in pieces:
        if batches and (len(batches[-1]) + 1) * batches[-1][0].length <= token_budget:
            batches[-1].append(row)
        else:
            batches.append([row])
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
    """Turn rows into a batch on the model's device, padded on the right.

    Raises:
        ValueError: a response holds an id that is never sampled (an image placeholder, say).
    """
    forbidden = np.array(vlm.forbidden_ids)
    prompt_positions = [vlm.positions(row.prompt) for row in packed]
    axes, length = max(len(p) for p in prompt_positions), max(row.length for row in packed)
    ids = np.full((len(packed), length), vlm.pad_id, dtype=np.int64)
    segments = np.full((len(packed), length), PAD, dtype=np.int64)
    positions = np.zeros((axes, len(packed), length), dtype=np.int64)
    sources: list[np.ndarray] = []
    flat: list[tuple[Experience, int]] = []
    for index, (row, placed) in enumerate(zip(packed, prompt_positions, strict=True)):
        end = len(row.prompt.token_ids)
        ids[index, :end], segments[index, :end] = row.prompt.token_ids, PROMPT
        positions[:, index, :end] = placed.numpy()
        start_position, last_of_prompt = int(placed.max()) + 1, index * length + end - 1
        for number, (experience, times) in enumerate(zip(row.experiences, row.times, strict=True), start=1):
            tokens = experience.rollout.token_ids
            if np.isin(tokens, forbidden).any():
                bad = sorted(set(tokens.tolist()) & set(vlm.forbidden_ids))
                raise ValueError(f"a response to {row.prompt.problem_id} holds ids that are never sampled: {bad}")
            begin, end = end, end + len(tokens)
            ids[index, begin:end], segments[index, begin:end] = tokens, number
            positions[:, index, begin:end] = start_position + np.arange(len(tokens))
            sources.append(
                np.concatenate([[last_of_prompt], index * length + np.arange(begin, end - 1)])[: len(tokens)]
            )
            flat.append((experience, times))
    device = vlm.device
    return Batch(
        input_ids=torch.from_numpy(ids).to(device),
        positions=torch.from_numpy(positions).to(device),
        segments=torch.from_numpy(segments).to(device),
        vision=vlm.vision([row.prompt for row in packed]),
        sources=torch.from_numpy(np.concatenate(sources)).to(device),
        **_tokens(flat, device, policy_version),
    )


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


def attention_mask(segments: Int[Tensor, "rows length"], dtype: torch.dtype) -> Float[Tensor, "rows 1 length length"]:
    """Float mask of packed rows: causal, and only towards the prompt and one's own response.

    Padding may look at itself, so that no row of the softmax is empty.
    """
    length = segments.shape[1]
    queries, keys = segments[:, :, None], segments[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    allowed = causal & ((keys == queries) | ((keys == PROMPT) & (queries != PAD)))
    mask = torch.zeros(allowed.shape, dtype=dtype, device=segments.device)
    return mask.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]
