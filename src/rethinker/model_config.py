"""The part of the configuration that says which VLM is trained, and what of it."""

from __future__ import annotations

from os.path import expanduser
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from rethinker.config_section import Count, Natural, Positive, Section, Share


class NoAdapterConfig(Section):
    """Train the weights themselves."""

    kind: Literal["none"] = "none"


class LoraAdapterConfig(Section):
    """Train low-rank adapters beside the linear layers, and nothing else (LoRA, arXiv 2106.09685)."""

    kind: Literal["lora"] = "lora"
    rank: Count = 16
    """Rank of the adapters."""
    alpha: Positive = 32.0
    """The adapters' output is scaled by alpha / rank."""
    dropout: Share = 0.0
    """Share of the adapters' inputs dropped. Above 0 log-probs, and a resumed run, are no longer reproducible."""
    parts: tuple[Literal["language", "vision"], ...] = ("language",)
    """Parts whose linear layers get adapters."""

    @model_validator(mode="after")
    def _has_parts(self) -> Self:
        if not self.parts:
            raise ValueError("model.adapter.parts is empty: nothing would be trained; name language, vision or both")
        return self


AdapterConfig = Annotated[NoAdapterConfig | LoraAdapterConfig, Field(discriminator="kind")]


class ModelConfig(Section):
    """Which VLM is trained."""

    path: str = "tiny"
    """`tiny` for the embedded model, else a Hugging Face folder or hub name; `~` is the home folder."""
    trust_remote_code: bool = False
    """Allow code from the model's folder to run; off unless asked for."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights. Steps of full training are smaller than bfloat16 resolves; adapters are always float32."""
    min_pixels: Natural = 0
    """Smallest image area the processor resizes to; 0 keeps the processor's own (paper: 256·28·28)."""
    max_pixels: Natural = 0
    """Largest image area; 0 keeps the processor's own (paper: 1280·28·28)."""
    adapter: AdapterConfig = NoAdapterConfig()
    """What is trained: the weights themselves, or low-rank adapters beside them (LoRA, arXiv 2106.09685)."""
    freeze: tuple[Literal["vision", "projector", "language"], ...] = ()
    """Parts whose weights stay as they are (paper: none; an adapter freezes all weights but its own)."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of holding them: less memory, a third more work."""
    pixel_bytes: Count = 2_000_000_000
    """Most memory for images as the model reads them, kept from the engine to the learner; as much again for those of
    the next step, prepared during this one."""

    @field_validator("path")
    @classmethod
    def _from_home(cls, path: str) -> str:
        return expanduser(path)

    @model_validator(mode="after")
    def _trains_something(self) -> Self:
        if self.adapter.kind == "none" and len(set(self.freeze)) == 3:
            raise ValueError(
                "model.freeze names every part, so nothing would be trained; leave one out, or set "
                "model.adapter.kind=lora"
            )
        return self

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        if self.max_pixels and self.min_pixels > self.max_pixels:
            raise ValueError(
                f"model.min_pixels={self.min_pixels} is more than model.max_pixels={self.max_pixels}; lower the one or "
                "raise the other"
            )
        return self
