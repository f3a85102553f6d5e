"""From a configuration to a vLLM engine. Part of `build.py`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from rethinker.config import Config
from rethinker.engine_config import VllmEngineConfig
from rethinker.errors import ModelError
from rethinker.interfaces import RolloutEngine
from rethinker.models.tiny import TINY_FOLDER
from rethinker.models.vlm import VLM
from rethinker.rollout import vllm_checks
from rethinker.rollout.vllm_engine import ServedModel, VllmEngine, served_model
from rethinker.rollout.vllm_transfer import BACKENDS
from rethinker.timing import Stopwatch

_TRIGGER_TOKENS = 64
"""Room for the trigger between a first look and a second."""


def build_vllm_engine(
    config: Config,
    engine: VllmEngineConfig,
    vlm: VLM,
    stopwatch: Stopwatch | None,
    *,
    device: Literal["cpu", "cuda"],
    weights: Iterator[tuple[str, Tensor]],
    tells_pieces: bool = False,
) -> RolloutEngine | None:
    """An engine in this process; None where vLLM does not serve the model and the torch engine is to take its place.

    Args:
        vlm: Tells what vLLM must know of the model; an outline will do.
        weights: What it begins with.
        tells_pieces: As `VllmEngine`.

    Raises:
        ConfigError: vLLM is missing, too old, for another device, or cannot be split so.
        ModelError: vLLM does not serve the model.
    """
    vllm_checks.refuse_unfit(
        vllm_checks.installed(),
        device=device,
        tensor_parallel=engine.tensor_parallel,
        gpus=torch.cuda.device_count() if device == "cuda" else 0,
    )
    try:
        vllm_checks.refuse_unserved(type(vlm.module).__name__)
    except ModelError as error:
        if engine.fallback == "none":
            raise
        logging.getLogger("rethinker").warning("%s. The torch engine generates instead", error)
        return None
    vllm_checks.refuse_uneven(vlm.module.config.to_dict(), engine.tensor_parallel)
    made = VllmEngine(
        served(config, vlm),
        device=device,
        dtype=config.model.dtype if engine.dtype == "model" else engine.dtype,
        max_tokens=longest(config, vlm),
        max_rows=engine.max_rows,
        tensor_parallel=engine.tensor_parallel,
        cache_bytes=engine.cache_bytes,
        memory_share=engine.memory_share,
        enforce_eager=engine.enforce_eager,
        can_sleep=engine.sleep and not config.engines_apart,
        transfer=BACKENDS[device] if sends_directly(config, device) else None,
        tells_pieces=tells_pieces,
        stopwatch=stopwatch,
    )
    made.load_weights(weights, version=0)
    return made


def sends_directly(config: Config, device: str) -> bool:
    """Whether weights are broadcast to the engines' workers."""
    engine = config.engine
    if engine.kind != "vllm" or not config.engines_apart or engine.fallback != "none":
        return False
    return engine.transfer == "direct" or (engine.transfer == "auto" and device == "cuda")


def served(config: Config, vlm: VLM) -> ServedModel:
    """What vLLM is told of the run's model."""
    model = config.model
    return served_model(
        vlm,
        str(TINY_FOLDER) if model.path == "tiny" else model.path,
        trust_remote_code=model.trust_remote_code,
        min_pixels=model.min_pixels,
        max_pixels=model.max_pixels,
    )


def longest(config: Config, vlm: VLM) -> int:
    """Most tokens of a prompt with all that may follow it, as far as the model has positions."""
    prompt, first, looks = config.prompt.max_tokens, config.sampler.first.max_tokens, config.rethink
    wanted = prompt + max(first, config.evaluation.max_tokens)
    if looks.kind == "forced":
        second = prompt + first + _TRIGGER_TOKENS + looks.second_look.max_tokens
        wanted = max(wanted, min(second, looks.max_total_tokens))
    return min(wanted, int(vlm.module.config.get_text_config().max_position_embeddings))
