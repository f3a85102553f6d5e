"""Experiences to tensors: one line of tokens, [p1 | p2 … | r1 | r2 …], where a prompt and its images stand once.

Tensors are born here and live until the optimiser step. Each response sees its prompt and itself, never a sibling, and
its positions start where the prompt's end, so the line equals separate forwards (`packing.PackedLayout`). An experience
drawn several times stands once, its weights multiplied: the loss and its gradient are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64
from torch import Tensor

from rethinker.models.attention import PackedLayout
from rethinker.models.tables import TableLayout
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
        return len(self.prompt.token_ids) + sum(len(e.rollout.token_ids) for e in self.experiences)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Batch:
    """A micro-batch on the device. "tokens" runs over the response tokens, by row and experience.

    Attributes:
        prompts: The prompts, in order.
        input_ids: Prompts, then responses; as a batch of one for the model.
        layout: Who sees whom.
        sources: Index in the line of the position that predicts each response token.
        stale: True for samples of an earlier policy version than the update's.
    """

    prompts: tuple[Prompt, ...]
    input_ids: Int[Tensor, "1 length"]
    positions: Int[Tensor, "axes 1 length"]
    layout: PackedLayout
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
    def slots(self) -> int:
        """Places in attention's tables; everything else runs without padding."""
        return self.layout.slots

    @property
    def padding(self) -> int:
        """Those of them that hold no token."""
        return self.layout.padding


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
    prompts = [row.prompt for row in packed]
    if vlm.blank is not None and not any(prompt.images for prompt in prompts):
        prompts.append(vlm.blank)  # nothing sees it
    flat = [pair for row in packed for pair in zip(row.experiences, row.times, strict=True)]
    owners = [index for index, row in enumerate(packed) for _ in row.experiences]
    responses = [experience.rollout.token_ids for experience, _ in flat]
    _refuse_forbidden(responses, [prompts[owner] for owner in owners], vlm)
    placed = [vlm.positions(prompt).numpy() for prompt in prompts]
    starts = [int(positions.max()) + 1 for positions in placed]
    axes = vlm.position_axes
    after = [np.tile(starts[owner] + np.arange(len(ids)), (axes, 1)) for owner, ids in zip(owners, responses)]
    device = vlm.device
    return Batch(
        prompts=tuple(prompts),
        input_ids=torch.from_numpy(np.concatenate([*(prompt.token_ids for prompt in prompts), *responses]))[None].to(
            device
        ),
        positions=torch.from_numpy(np.concatenate([*placed, *after], axis=1))[:, None].to(device),
        layout=TableLayout(
            [len(prompt.token_ids) for prompt in prompts],
            [len(ids) for ids in responses],
            owners,
            blocks=vlm.image_blocks(prompts),
            dtype=vlm.module.dtype,
            device=device,
        ),
        vision=vlm.vision(prompts),
        sources=torch.from_numpy(_sources(prompts, responses, owners)).to(device),
        **_tokens(flat, device, policy_version),
    )


def _refuse_forbidden(responses: Sequence[Int64[np.ndarray, " tokens"]], prompts: Sequence[Prompt], vlm: VLM) -> None:
    forbidden = set(vlm.forbidden_ids)
    for ids, prompt in zip(responses, prompts, strict=True):
        if bad := forbidden.intersection(ids.tolist()):
            raise ValueError(f"a response to {prompt.problem_id} holds ids that are never sampled: {sorted(bad)}")


def _sources(
    prompts: Sequence[Prompt], responses: Sequence[Int64[np.ndarray, " tokens"]], owners: Sequence[int]
) -> Int64[np.ndarray, " tokens"]:
    """The first token of a response is predicted at its prompt's last token, each other one at the token before it."""
    last_of_prompt = np.cumsum([len(prompt.token_ids) for prompt in prompts]) - 1
    lengths = np.array([len(ids) for ids in responses])
    firsts = np.cumsum(lengths) - lengths
    sources = last_of_prompt[-1] + np.arange(lengths.sum())
    sources[firsts] = last_of_prompt[np.array(owners)]
    return sources


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
