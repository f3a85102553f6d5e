"""Hugging Face's forward, one response at a time: what the shared, packed and cached paths must equal."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rethinker.data.gym.catalogue import GymId, problem
from rethinker.models.vlm import VLM
from rethinker.types import Image, Problem, Prompt


def some_prompts(vlm: VLM) -> list[Prompt]:
    """Different lengths: one image, none, two of different sizes."""
    rng = np.random.default_rng(7)
    small, wide = (Image(pixels=rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in ((56, 56), (84, 140)))
    two = Problem(
        id="two",
        images=(small, wide),
        question="Is <image> smaller than <image>?",
        answer="yes",
        verifier="text",
    )
    told = Problem(id="told", images=(), question="How many is 1 + 2?", answer="3", verifier="number")
    counted = problem(GymId(family="counting", level=1, split="train", index=0))
    return [vlm.encode(each, "plain") for each in (counted, told, two)]


def inputs(vlm: VLM, prompt: Prompt, response: np.ndarray) -> dict[str, Tensor]:
    """Keyword arguments of one plain forward; the model finds positions and mask itself."""
    ids = torch.from_numpy(np.concatenate([prompt.token_ids, response]))[None]
    marks = "token_type_ids" if vlm.module.config.model_type == "gemma3" else "mm_token_type_ids"
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        marks: (ids == vlm.module.config.image_token_id).int(),
        **vlm.vision([prompt]),
    }


def distributions(vlm: VLM, prompt: Prompt, response: np.ndarray) -> Tensor:
    """Log-probabilities over the vocabulary where each response token was predicted, with gradient."""
    scores = vlm.module(**inputs(vlm, prompt, response)).logits[0, -len(response) - 1 : -1]
    return torch.log_softmax(scores.to(torch.promote_types(scores.dtype, torch.float32)), dim=-1)


def logprobs(vlm: VLM, prompt: Prompt, response: np.ndarray) -> Tensor:
    """Log-probability of each response token, with gradient."""
    return distributions(vlm, prompt, response).gather(-1, torch.from_numpy(response)[:, None])[:, 0]


def entropy(vlm: VLM, prompt: Prompt, response: np.ndarray) -> Tensor:
    """Entropy where each response token was predicted, with gradient."""
    found = distributions(vlm, prompt, response)
    return -(found.exp() * found).sum(dim=-1)
