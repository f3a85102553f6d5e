"""Loading a VLM from a Hugging Face folder or hub name: safetensors only, no remote code unless asked for."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from rethinker.errors import ModelError
from rethinker.models.tiny import TINY_FOLDER
from rethinker.models.vlm import VLM


def load(
    path: str,
    *,
    device: str,
    dtype: str = "float32",
    trust_remote_code: bool = False,
    min_pixels: int = 0,
    max_pixels: int = 0,
) -> VLM:
    """Load model and processor.

    Args:
        path: `tiny` for the embedded model, else a folder or hub name.
        device: A torch device.
        dtype: Name of a torch floating type.
        min_pixels: Smallest image area after resizing; 0 keeps the processor's own. Likewise `max_pixels`.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
    """
    name = str(TINY_FOLDER) if path == "tiny" else path
    pixels = {key: value for key, value in (("min_pixels", min_pixels), ("max_pixels", max_pixels)) if value}
    if Path(name).is_absolute() and not (Path(name) / "config.json").is_file():
        raise ModelError(f"there is no model at {name}: it has no config.json; check model.path")
    try:
        processor = AutoProcessor.from_pretrained(name, trust_remote_code=trust_remote_code, **pixels)
        module = AutoModelForImageTextToText.from_pretrained(
            name, dtype=getattr(torch, dtype), trust_remote_code=trust_remote_code, use_safetensors=True
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(
            f"the model {name} could not be loaded: {error}. Check model.path, or run `rethinker doctor`"
        ) from error
    return VLM(module.to(device), processor)
