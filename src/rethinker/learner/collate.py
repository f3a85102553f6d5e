"""Experiences to tensors: one line of tokens, [p1 | p2 … | r1 | r2 …], where a prompt and its images stand once.

Tensors are born here and live until the optimiser step. Each response sees its prompt and itself, never a sibling, and
its positions start where the prompt's end, so the line (`models/packing.py`) equals separate forwards. An experience
drawn several times stands once, its weights multiplied: the loss and its gradient are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64
from torch import Tensor

from rethinker.learner.micro_batches import Row
from rethinker.models.packing import Line, pack
from rethinker.models.vlm import VLM
from rethinker.types import Experience, Prompt


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Batch:
    """A micro-batch on the device. "tokens" runs over the response tokens, by row and experience.

    Attributes:
        line: What the model reads.
        lengths: Tokens of each response.
        old: The learner's log-probs before the episode's first update, where they were asked for; else `behaviour`.
        stale: True for samples of an earlier policy version than the update's.
    """

    line: Line
    lengths: Int[Tensor, " responses"]
    targets: Int[Tensor, " tokens"]
    behaviour: Float[Tensor, " tokens"]
    old: Float[Tensor, " tokens"]
    advantages: Float[Tensor, " tokens"]
    rl: Float[Tensor, " tokens"]
    imitation: Float[Tensor, " tokens"]
    sampled: Bool[Tensor, " tokens"]
    stale: Bool[Tensor, " tokens"]

    @property
    def tokens(self) -> int:
        """Those that pass the model."""
        return self.line.input_ids.shape[1]

    @property
    def slots(self) -> int:
        """Places in attention's tables; everything else runs without padding."""
        return self.line.layout.slots

    @property
    def padding(self) -> int:
        """Those of them that hold no token."""
        return self.line.layout.padding


def collate(packed: Sequence[Row], vlm: VLM, *, policy_version: int) -> Batch:
    """Turn rows into a batch on the model's device.

    Raises:
        ValueError: a response holds an id that is never sampled (an image placeholder, say).
    """
    prompts = [row.prompt for row in packed]
    flat = [pair for row in packed for pair in zip(row.experiences, row.times, strict=True)]
    owners = [index for index, row in enumerate(packed) for _ in row.experiences]
    responses = [experience.rollout.token_ids for experience, _ in flat]
    _refuse_forbidden(responses, [prompts[owner] for owner in owners], vlm)
    return Batch(line=pack(vlm, prompts, responses, owners), **_tokens(flat, vlm.device, policy_version))


def _refuse_forbidden(responses: Sequence[Int64[np.ndarray, " tokens"]], prompts: Sequence[Prompt], vlm: VLM) -> None:
    forbidden = set(vlm.forbidden_ids)
    for ids, prompt in zip(responses, prompts, strict=True):
        if bad := forbidden.intersection(ids.tolist()):
            raise ValueError(f"a response to {prompt.problem_id} holds ids that are never sampled: {sorted(bad)}")


def _tokens(flat: Sequence[tuple[Experience, int]], device: torch.device, version: int) -> dict[str, Tensor]:
    """The per-token tensors of a batch, in order."""
    lengths = [len(e.rollout.token_ids) for e, _ in flat]

    def joined(arrays: list[Float32[np.ndarray, " tokens"]]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays)).to(device)

    def spread(values: list[float] | list[bool], dtype: type) -> Tensor:
        return torch.from_numpy(np.repeat(np.array(values, dtype=dtype), lengths)).to(device)

    return {
        "lengths": torch.tensor(lengths, device=device),
        "targets": joined([e.rollout.token_ids for e, _ in flat]),
        "behaviour": joined([e.rollout.logprobs for e, _ in flat]),
        "old": joined([e.rollout.logprobs if e.old is None else e.old for e, _ in flat]),
        "advantages": spread([e.advantage for e, _ in flat], np.float32),
        "rl": joined([e.rl * np.float32(times) for e, times in flat]),
        "imitation": joined([e.imitation * np.float32(times) for e, times in flat]),
        "sampled": joined([~e.rollout.forced for e, _ in flat]),
        "stale": spread([e.rollout.policy_version < version for e, _ in flat], np.bool_),
    }
