"""Loading a VLM from a Hugging Face folder or hub name: safetensors only, no remote code unless asked for.

A model whose configuration holds that of a language model is a VLM; one whose configuration is a language model's
loads with its tokenizer alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from rethinker.errors import ModelError
from rethinker.models.tiny import TINY_FOLDER
from rethinker.models.vlm import PIXEL_BYTES, VLM


def load(
    path: str,
    *,
    device: str,
    dtype: str = "float32",
    trust_remote_code: bool = False,
    min_pixels: int = 0,
    max_pixels: int = 0,
    pixel_bytes: int = PIXEL_BYTES,
) -> VLM:
    """Load model and processor, or tokenizer where the model reads text alone.

    Args:
        path: `tiny` for the embedded model, else a folder or hub name.
        device: A torch device.
        dtype: Name of a torch floating type.
        min_pixels: Smallest image area after resizing; 0 keeps the processor's own. Likewise `max_pixels`.
        pixel_bytes: As `VLM`.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
    """
    name = str(TINY_FOLDER) if path == "tiny" else path
    pixels = {key: value for key, value in (("min_pixels", min_pixels), ("max_pixels", max_pixels)) if value}
    if _must_be_a_folder(name) and not (Path(name) / "config.json").is_file():
        raise ModelError(f"there is no model at {name}: it has no config.json; check model.path")
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
        text_only = config.get_text_config() is config
        processor = (AutoTokenizer if text_only else AutoProcessor).from_pretrained(
            name, trust_remote_code=trust_remote_code
        )
        module = (AutoModelForCausalLM if text_only else AutoModelForImageTextToText).from_pretrained(
            name, dtype=getattr(torch, dtype), trust_remote_code=trust_remote_code, use_safetensors=True
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(
            f"the model {name} could not be loaded: {error}. Check model.path, or run `rethinker doctor`; weights must "
            "be safetensors"
            + ("" if trust_remote_code else ", and a model of its own code needs model.trust_remote_code=true")
        ) from error
    if pixels and not text_only:
        _bound(processor, pixels)
    return VLM(module.to(device), processor, pixel_bytes=pixel_bytes)


def _must_be_a_folder(name: str) -> bool:
    """Whether a name can be nothing but a path: a hub name is one word, or two with a slash."""
    return Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1


def _bound(processor: Any, pixels: dict[str, int]) -> None:
    """Bound image areas: a setting of the image processor alone.

    Given to the whole processor it would become one of the tokenizer's too, and be sent with every call.

    Raises:
        ModelError: the image processor knows no such bound and would ignore it, or its own other is beyond it.
    """
    images = processor.image_processor
    known = images.valid_kwargs.__annotations__
    if unknown := [bound for bound in pixels if bound not in known]:
        raise ModelError(
            f"{type(images).__name__} does not bound image areas, so model.{unknown[0]}={pixels[unknown[0]]} would do "
            "nothing; leave it 0"
        )
    images = processor.image_processor = type(images).from_dict(images.to_dict() | pixels)
    if images.size["shortest_edge"] > images.size["longest_edge"]:
        least, most = images.size["shortest_edge"], images.size["longest_edge"]
        raise ModelError(
            f"images would have at least {least} and at most {most} pixels; the bound that is not set is the "
            "processor's own, so set model.min_pixels and model.max_pixels both"
        )
