"""Loading a VLM from a Hugging Face folder or hub name: safetensors only, no remote code unless asked for.

A model whose configuration holds that of a language model is a VLM; one whose configuration is a language model's
loads with its tokenizer alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    GenerationConfig,
)

from rethinker.errors import ModelError
from rethinker.models.places import Place, directly
from rethinker.models.tiny import TINY_FOLDER
from rethinker.models.vlm import PIXEL_BYTES, VLM


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model somewhere, and how it is to be read.

    Attributes:
        path: `tiny` for the embedded model, else a folder or hub name.
        dtype: Name of a torch floating type.
        min_pixels: Smallest image area after resizing; 0 keeps the processor's own. Likewise `max_pixels`.
    """

    path: str
    dtype: str = "float32"
    trust_remote_code: bool = False
    min_pixels: int = 0
    max_pixels: int = 0

    def processor(self) -> Any:
        """Its processor, or tokenizer where the model reads text alone.

        Raises:
            ModelError: there is no such model, or it cannot be loaded.
        """
        pixels = {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels}
        pixels = {key: value for key, value in pixels.items() if value}
        with self._refusing():
            text_only = _is_text_only(self._config())
            processor = (AutoTokenizer if text_only else AutoProcessor).from_pretrained(self._name, **self._trust())
        if pixels and not text_only:
            _bound(processor, pixels)
        return processor

    def module(self) -> Any:
        """The model, on the CPU.

        Raises:
            ModelError: as `processor`.
        """
        with self._refusing():
            return self._class().from_pretrained(
                self._name, dtype=getattr(torch, self.dtype), use_safetensors=True, **self._trust()
            )

    def outline(self) -> Any:
        """The model without its weights, which are on the meta device; buffers are made.

        Raises:
            ModelError: as `processor`.
        """
        with self._refusing():
            config = self._config()
            with _weightless():
                module = self._class().from_config(config, dtype=getattr(torch, self.dtype), **self._trust())
            if module.can_generate():
                module.generation_config = self._generation_config(config)
        return module.eval()

    def _generation_config(self, config: Any) -> GenerationConfig:
        """That of its folder, or what its configuration says of it."""
        try:
            return GenerationConfig.from_pretrained(self._name)
        except OSError:
            return GenerationConfig.from_model_config(config)

    @property
    def _name(self) -> str:
        return str(TINY_FOLDER) if self.path == "tiny" else self.path

    def _trust(self) -> dict[str, bool]:
        return {"trust_remote_code": self.trust_remote_code}

    def _config(self) -> Any:
        return AutoConfig.from_pretrained(self._name, **self._trust())

    def _class(self) -> Any:
        return AutoModelForCausalLM if _is_text_only(self._config()) else AutoModelForImageTextToText

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        name = self._name
        if _must_be_a_folder(name) and not (Path(name) / "config.json").is_file():
            raise ModelError(f"there is no model at {name}: it has no config.json; check model.path")
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            raise ModelError(
                f"the model {name} could not be loaded: {error}. Check model.path, or run `rethinker doctor`; weights "
                "must be safetensors"
                + ("" if self.trust_remote_code else ", and a model of its own code needs model.trust_remote_code=true")
            ) from error


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
    source = Source(
        path=path,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
    )
    processor = source.processor()
    return VLM(source.module().to(device), processor, pixel_bytes=pixel_bytes)


def load_outline(source: Source, *, sharing: tuple[bool, bool], pixel_bytes: int = PIXEL_BYTES) -> VLM:
    """A model that encodes, decodes and counts costs, without weights: for whoever plans what others compute.

    Args:
        sharing: What a rank that has the weights found out: `shares_prompts` and `plain_scores`.
        pixel_bytes: As `VLM`.

    Raises:
        ModelError: as `load`.
    """
    place = Place(device=torch.device("cpu"), dtype=getattr(torch, source.dtype), inside=directly)
    return VLM(source.outline(), source.processor(), pixel_bytes=pixel_bytes, sharing=sharing, place=place)


def _is_text_only(config: Any) -> bool:
    return config.get_text_config() is config


@contextmanager
def _weightless() -> Iterator[None]:
    """Of modules made inside, parameters are on the meta device."""
    register = nn.Module.register_parameter

    def on_meta(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        if param is not None and not param.is_meta:  # one that is there already is tied, and stays the same
            param = nn.Parameter(param.to("meta"), requires_grad=param.requires_grad)
        register(module, name, param)

    nn.Module.register_parameter = on_meta  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


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
