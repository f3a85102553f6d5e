"""From a configuration to the model of one process, and to an engine that samples from it."""

from __future__ import annotations

from typing import Literal

import torch

from rethinker.build_learner import choose_trained, model_source
from rethinker.build_vllm import build_vllm_engine
from rethinker.config import Config
from rethinker.cores import usable_cores
from rethinker.errors import ConfigError
from rethinker.interfaces import RolloutEngine
from rethinker.models.adapters import merged_weights
from rethinker.models.loading import load, load_outline
from rethinker.models.vlm import VLM
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.timing import Stopwatch


def set_threads(threads: int) -> None:
    """Let torch use `threads` cores; 0 means every core this process may run on."""
    torch.set_num_threads(threads or usable_cores())


def build_vlm(config: Config, *, device: str | None = None, trained: bool = True) -> VLM:
    """Load the model onto a device.

    Args:
        device: None takes that of the configuration.
        trained: With its adapter and its frozen parts; an engine that gets whole weights needs neither.

    Raises:
        ConfigError: the device does not exist here.
        ModelError: the model cannot be loaded, or cannot be trained this way.
    """
    vlm = load(
        config.model.path,
        device=device or resolve_device(config.device),
        dtype=config.model.dtype,
        trust_remote_code=config.model.trust_remote_code,
        min_pixels=config.model.min_pixels,
        max_pixels=config.model.max_pixels,
        pixel_bytes=config.model.pixel_bytes,
    )
    if trained:
        choose_trained(vlm.module, config)
    return vlm


def resolve_device(name: str) -> str:
    """`auto` is CUDA where there is one.

    Raises:
        ConfigError: the device is unknown or absent.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={name} cannot be used here: {error}; use device=auto") from error
    return name


def build_engine(
    config: Config,
    vlm: VLM,
    stopwatch: Stopwatch | None = None,
    *,
    own_weights: bool = False,
    tells_pieces: bool = False,
) -> RolloutEngine:
    """The engine that samples from the model; it has the model's weights.

    Args:
        own_weights: Whether the model is the engine's own, and not the learner's.
        tells_pieces: Whether `RolloutEngine.pieces` will be asked.

    Raises:
        ConfigError: vLLM is asked for and cannot run here.
        ModelError: vLLM does not serve the model.
    """
    engine = config.engine
    match engine.kind:
        case "torch":
            return TorchEngine(
                vlm,
                max_rows=engine.max_rows,
                cache_bytes=engine.cache_bytes,
                read_tokens=engine.read_tokens,
                own_weights=own_weights,
                stopwatch=stopwatch,
            )
        case "vllm":
            made = build_vllm_engine(
                config,
                engine,
                vlm,
                stopwatch,
                device=_kind(vlm.device),
                weights=merged_weights(vlm.module),
                tells_pieces=tells_pieces,
            )
            return made or TorchEngine(
                vlm,
                max_rows=engine.max_rows,
                cache_bytes=engine.cache_bytes,
                own_weights=own_weights,
                stopwatch=stopwatch,
            )


def build_own_engine(config: Config, *, device: str) -> RolloutEngine:
    """An engine with weights of its own, alone or beside a rank of the learner.

    vLLM holds the weights by itself: beside it there is but an outline of the model.

    Raises:
        ConfigError: as `build_engine`. Likewise `ModelError`.
    """
    engine = config.engine
    if engine.kind == "vllm":
        source = model_source(config)
        made = build_vllm_engine(
            config,
            engine,
            load_outline(source, sharing=(True, True)),
            None,
            device=_kind(torch.device(device)),
            weights=merged_weights(source.module()),
        )
        if made is not None:
            return made
    return build_engine(config, build_vlm(config, device=device, trained=False), own_weights=True)


def _kind(device: torch.device) -> Literal["cpu", "cuda"]:
    return "cuda" if device.type == "cuda" else "cpu"
