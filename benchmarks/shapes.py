"""Models to measure with: the embedded one, or random weights of a public model's shape, made on the device.

A random model keeps its published widths and its whole output layer; its tokenizer is the toy one, whose ids are a
small part of the vocabulary, so that nothing has to be fetched and token counts are right all the same.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, GenerationConfig
from transformers.image_utils import SizeDict

from rethinker.models.tiny import SPECIAL_TOKENS, TINY_FOLDER
from rethinker.models.vlm import VLM
from rethinker.planning.architecture import KNOWN

SHAPES = {name: KNOWN / f"Qwen--Qwen2.5-VL-{name}-Instruct.json" for name in ("3B", "7B", "32B", "72B")} | {
    "toy": TINY_FOLDER / "config.json"
}
"""Files with the hyper-parameters of every shape that can be asked for."""

MOST_IMAGE_TOKENS = 16_384
_TOKEN_PIXELS = 28 * 28


def processor() -> Any:
    """The toy processor, for images of up to `MOST_IMAGE_TOKENS` tokens and prompts padded on the left."""
    made = AutoProcessor.from_pretrained(TINY_FOLDER, padding_side="left")
    made.image_processor.size = SizeDict(shortest_edge=_TOKEN_PIXELS, longest_edge=MOST_IMAGE_TOKENS * _TOKEN_PIXELS)
    return made


def parts(model: str, *, device: str, dtype: str, vocabulary: int = 0) -> tuple[Any, Any]:
    """A module with Hugging Face's own attention, and its processor.

    Args:
        model: `tiny`, or a name of `SHAPES`.
        vocabulary: Rows of the output layer, where they shall not be the published ones.
    """
    kind = getattr(torch, dtype)
    if model == "tiny":
        loaded = AutoModelForImageTextToText.from_pretrained(TINY_FOLDER, dtype=kind).to(device)
        return loaded, AutoProcessor.from_pretrained(TINY_FOLDER, padding_side="left")
    made = processor()
    described = config(model, made)
    if vocabulary:
        described.text_config.vocab_size = vocabulary
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(0)
        module = AutoModelForImageTextToText.from_config(described, dtype=kind)
    module.generation_config = GenerationConfig(
        eos_token_id=[made.tokenizer.eos_token_id, made.tokenizer.pad_token_id],
        pad_token_id=made.tokenizer.pad_token_id,
    )
    return module, made


def config(model: str, made: Any) -> Any:
    """The hyper-parameters of a shape, whose special tokens have the ids of a processor's tokenizer.

    Raises:
        ValueError: there is no such shape.
    """
    if model not in SHAPES:
        raise ValueError(f"no shape is called {model}; there are tiny, {', '.join(SHAPES)}")
    described = AutoConfig.for_model(**json.loads(SHAPES[model].read_text(encoding="utf-8")))
    end, _, stop, start, close, _, image, video = made.tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))
    described.image_token_id, described.video_token_id = image, video
    described.vision_start_token_id, described.vision_end_token_id = start, close
    described.text_config.bos_token_id = described.text_config.pad_token_id = end
    described.text_config.eos_token_id = stop
    return described


def load(model: str, *, device: str, dtype: str, vocabulary: int = 0) -> VLM:
    """A model as the package uses it (see `parts`)."""
    module, made = parts(model, device=device, dtype=dtype, vocabulary=vocabulary)
    return VLM(module, made)
