"""Requests in vLLM's words, and its answers in ours. Nothing of vLLM is imported but its sampling settings.

A prompt goes as token ids with each image's run of placeholders collapsed to the one that vLLM expands again, and what
it expands must be ours. Each image carries its id, by which vLLM knows one it has processed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Int64

from rethinker.errors import ModelError, RethinkerError
from rethinker.interfaces import Request, Sampling
from rethinker.types import Completion, FinishReason, Image

_SEEDS = 2**63
"""Seeds of torch's generators are below it."""


def tokens_prompt(request: Request, *, image_token: int | None) -> dict[str, Any]:
    """Prompt and prefix as vLLM's `TokensPrompt`."""
    prompt = request.prompt
    asked: dict[str, Any] = {
        "prompt_token_ids": [*_collapsed(prompt.token_ids, image_token).tolist(), *request.prefix.tolist()]
    }
    if prompt.images:
        asked["multi_modal_data"] = {"image": [_picture(image) for image in prompt.images]}
        asked["multi_modal_uuids"] = {"image": [image.id for image in prompt.images]}
    return asked


def refuse_other_expansion(found: list[int], request: Request, *, model: str) -> None:
    """What vLLM reads must be the ids that the learner trains on.

    Raises:
        ModelError: it is not.
    """
    wanted = [*request.prompt.token_ids.tolist(), *request.prefix.tolist()]
    if found != wanted:
        raise ModelError(
            f"vLLM expands the prompt of {request.prompt.problem_id} to {len(found)} tokens, the learner to "
            f"{len(wanted)}{'' if len(found) != len(wanted) else ' others'}: its image processor for {model} does "
            "otherwise; leave model.min_pixels and model.max_pixels at 0, or use engine.kind=torch"
        )


def _collapsed(token_ids: Int64[np.ndarray, " prompt"], image_token: int | None) -> Int64[np.ndarray, " collapsed"]:
    """One placeholder for each run of them."""
    shown = token_ids == image_token
    return token_ids[~(shown & np.concatenate([[False], shown[:-1]]))]


def _picture(image: Image) -> PIL.Image.Image:
    return PIL.Image.fromarray(image.pixels)


def sampling_settings(sampling: Sampling, seed: int, *, eos_ids: tuple[int, ...]) -> dict[str, Any]:
    """Arguments of vLLM's `SamplingParams` for one sample: its draws depend on its own seed alone.

    All of `eos_ids` end it, whatever the model's folder says; the end token is kept.
    """
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "min_tokens": sampling.min_tokens,
        "seed": seed % _SEEDS,
        "ignore_eos": True,
        "stop_token_ids": list(eos_ids),
        "logprobs": 0,
        "flat_logprobs": True,
        "detokenize": False,
    }


def completion(request: Request, sample: int, output: Any, *, version: int) -> Completion:
    """From vLLM's `CompletionOutput`.

    Raises:
        RethinkerError: vLLM gave the sample up.
    """
    reasons: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
    if output.finish_reason not in reasons:
        raise RethinkerError(f"vLLM gave up on sample {sample} of request {request.id}: {output.finish_reason}")
    return Completion(
        request_id=request.id,
        sample=sample,
        token_ids=np.array(output.token_ids, dtype=np.int64),
        logprobs=np.array(output.logprobs.logprobs, dtype=np.float32),
        finish_reason=reasons[output.finish_reason],
        policy_version=version,
    )


def refuse_too_long(request: Request, most: int) -> None:
    """Room for all that a request may sample.

    Raises:
        RethinkerError: there is not enough.
    """
    needed = len(request.prompt.token_ids) + len(request.prefix) + request.sampling.max_tokens
    if needed > most:
        raise RethinkerError(
            f"request {request.id} may grow to {needed} tokens, and vLLM was told of at most {most}; lower "
            "prompt.max_tokens or the response limits, or take a model with more positions"
        )
