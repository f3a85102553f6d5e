"""A Hugging Face folder of a sharded model: gathered one tensor at a time, written by rank 0 a file at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, distributed
from transformers.core_model_loading import revert_weight_conversion
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from rethinker.distributed.sharding import whole
from rethinker.models import adapters
from rethinker.models.vlm import VLM

FILE_BYTES = 4_000_000_000
"""Of one file of weights, and so what rank 0 holds at once."""


def write_model(vlm: VLM, folder: Path, *, file_bytes: int = FILE_BYTES) -> None:
    """Write the model, or its adapter alone, with its tokenizer and processor; all ranks call it, rank 0 writes."""
    writes = distributed.get_rank() == 0
    if adapters.has_adapter(vlm.module):
        weights = {name: whole(weight).cpu() for name, weight in adapters.adapter_weights(vlm.module).items()}
        if writes:
            adapters.save_adapter(vlm.module, weights, folder)
    else:
        _write_weights(vlm, folder, file_bytes=file_bytes, writes=writes)
        if writes:
            vlm.module.config.architectures = [type(vlm.module).__name__]
            vlm.module.config.save_pretrained(folder)
            adapters.save_generation_settings(vlm.module, folder)
    if writes:
        vlm.processor.save_pretrained(folder)
    distributed.barrier()


@torch.no_grad()
def _write_weights(vlm: VLM, folder: Path, *, file_bytes: int, writes: bool) -> None:
    held: dict[str, Tensor] = dict(vlm.module.named_parameters()) | adapters.kept_buffers(vlm.module)
    files = _files(held, file_bytes)
    places: dict[str, str] = {}
    size = 0
    for number, names in enumerate(files, start=1):
        kept: dict[str, Tensor] = {}
        for name in names:
            tensor = whole(_as_computed(held[name], vlm.dtype))
            if writes:
                kept[name] = tensor.cpu().contiguous()
        if writes:
            file = SAFE_WEIGHTS_NAME if len(files) == 1 else f"model-{number:05d}-of-{len(files):05d}.safetensors"
            renamed: dict[str, Tensor] = revert_weight_conversion(vlm.module, kept)
            save_file(renamed, folder / file, metadata={"format": "pt"})
            places |= dict.fromkeys(renamed, file)
            size += sum(tensor.nbytes for tensor in renamed.values())
    if writes and len(files) > 1:
        index = {"metadata": {"total_size": size}, "weight_map": places}
        (folder / SAFE_WEIGHTS_INDEX_NAME).write_text(json.dumps(index, indent=2), encoding="utf-8")


def _as_computed(tensor: Any, dtype: torch.dtype) -> Any:
    """In the type of the model: of a float32 shard, what the ranks gather to compute with."""
    return tensor.detach().to(dtype) if tensor.is_floating_point() else tensor


def _files(held: dict[str, Tensor], file_bytes: int) -> list[list[str]]:
    """Names in as many groups as files."""
    files: list[list[str]] = [[]]
    room = file_bytes
    for name, tensor in held.items():
        if tensor.nbytes > room and files[-1]:
            files.append([])
            room = file_bytes
        files[-1].append(name)
        room -= tensor.nbytes
    return files
