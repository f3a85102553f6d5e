"""The engines' sections. Part of `config.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rethinker.config_section import Count, Positive, Section


class TorchEngineConfig(Section):
    """Generation by the model itself, in the process on the learner's own weights."""

    kind: Literal["torch"] = "torch"
    max_rows: Count = 256
    """Most samples decoded at once; waiting ones take the places of those that end."""
    cache_bytes: Count = 8_000_000_000
    """Most bytes of keys and values, reckoned as if every response grew to its limit; one sample always decodes."""
    read_tokens: Count = 16_384
    """Most tokens of prompts read in one forward; a longer one is read alone."""
    replicas: Count = 1
    """Engines, each with weights of its own; more than one needs a cluster."""


class VllmEngineConfig(Section):
    """Generation by vLLM, on a copy of the weights that is brought up to date after every episode (docs/vllm.md)."""

    kind: Literal["vllm"] = "vllm"
    tensor_parallel: Count = 1
    """GPUs that share the weights of one engine; must divide the model's heads. On the CPU, processes."""
    replicas: Count = 1
    """Engines; more than one needs a cluster."""
    max_rows: Count = 256
    """Most samples decoded at once by one engine."""
    dtype: Literal["model", "float32", "bfloat16"] = "model"
    """Type of the engine's copy of the weights; `model` is `model.dtype`."""
    cache_bytes: Count = 2_000_000_000
    """On the CPU, bytes of keys and values of one engine."""
    memory_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.4
    """On CUDA, share of each GPU's memory for weights, keys and values; the rest is the learner's."""
    enforce_eager: bool = False
    """On CUDA, without CUDA graphs: starts sooner, decodes more slowly. The CPU always runs so."""
    sleep: bool = True
    """On CUDA, give the engine's memory back while the learner updates."""
    transfer: Literal["auto", "objects", "direct"] = "auto"
    """How weights reach engines in processes of their own: `objects` through Ray's object store, with which an engine
    that died begins again; `direct` in one broadcast to all their workers (vLLM's NCCL engine on CUDA, gloo on the
    CPU), where a dead engine sends the run back to its last checkpoint. `auto` is `direct` on CUDA."""
    fallback: Literal["none", "torch"] = "none"
    """What to do with a model that vLLM does not serve: stop, or generate with the torch engine."""
    max_gap: Positive = 0.1
    """The run stops where the engine's log-probs are farther from the learner's than this on average, in nats."""


EngineConfig = Annotated[TorchEngineConfig | VllmEngineConfig, Field(discriminator="kind")]
