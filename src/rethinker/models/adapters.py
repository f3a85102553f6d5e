"""What of a model is trained: frozen parts, low-rank adapters, and activations that are computed twice to be held once.

Parts are found by the model's own structure (its image encoder, its decoder), never by its family. Adapters are peft's,
injected into the module, which keeps its class: whoever holds it goes on as before. A low-rank adapter freezes all
other weights. Its own are float32 whatever the model's type, so that small steps are not rounded away.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.utils import GENERATION_CONFIG_NAME

from rethinker.errors import ModelError
from rethinker.seeding import Purpose, key

Part = Literal["vision", "projector", "language"]

PARTS: tuple[Part, ...] = ("vision", "projector", "language")

_PROJECTORS_IN_TOWERS = frozenset({"merger", "deepstack_merger_list"})
"""Children of an image encoder that map its features to the decoder's width; other models keep theirs outside it."""

_ADAPTER = "default"
_WEIGHTS = "adapter_model.safetensors"
_SETTINGS = "adapter_config.json"
_PREFIX = "base_model.model."
"""Stands before every name in a file of adapter weights (peft's format)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """A low-rank adapter: W + alpha / rank · B A on every linear layer of some parts (arXiv 2106.09685).

    Attributes:
        dropout: Share of the adapter's inputs dropped while training.
        parts: "language", "vision" or both.
    """

    rank: int
    alpha: float
    dropout: float = 0.0
    parts: tuple[Part, ...] = ("language",)


def part_of(module: Any) -> dict[str, Part]:
    """The part of every parameter, by name.

    What lies outside encoder, decoder and output layer connects them: the projector. In a text-only model everything
    is language.
    """
    paths = {id(child): name for name, child in module.named_modules()}
    tower = paths[id(module.get_encoder(modality="image"))]
    decoder = paths[id(module.get_decoder())]
    head = paths[id(module.get_output_embeddings())]

    def part(name: str) -> Part:
        if tower and name.startswith(f"{tower}."):
            return "projector" if name.removeprefix(f"{tower}.").split(".")[0] in _PROJECTORS_IN_TOWERS else "vision"
        return "language" if name.startswith((f"{decoder}.", f"{head}.")) else "projector"

    return {name: part(name) for name, _ in module.named_parameters()}


def freeze(module: Any, parts: Collection[Part]) -> None:
    """Train no weight of these parts.

    Raises:
        ModelError: the model has no such part, or no other.
    """
    owners = part_of(module)
    if absent := sorted(set(parts) - set(owners.values())):
        raise ModelError(f"{type(module).__name__} has no {' or '.join(absent)} part; take it out of model.freeze")
    if parts and set(owners.values()) <= set(parts):
        raise ModelError(f"model.freeze={list(parts)} is all of {type(module).__name__}; leave something to train")
    for name, weight in module.named_parameters():
        if owners[name] in parts:
            weight.requires_grad_(False)


def add_lora(module: Any, lora: Lora, *, seed: int) -> None:
    """Put adapters beside the linear layers of `lora.parts`; from now on they alone are trained.

    At the start B is 0, so the module computes what it did. A depends on `seed` alone. Weights of these parts that
    stand in stacks of matrices (a mixture's experts) are not reached, which is said.

    Raises:
        ModelError: a part has no linear layer, or peft knows that this class computes wrongly with adapters.
    """
    from peft import LoraConfig, inject_adapter_in_model

    owners, head = part_of(module), module.get_output_embeddings()
    targets: list[str] = []
    for part in lora.parts:
        found = [
            name
            for name, child in module.named_modules()
            if isinstance(child, torch.nn.Linear) and child is not head and owners[f"{name}.weight"] == part
        ]
        if not found:
            raise ModelError(
                f"{type(module).__name__} has no linear layer in its {part} part; take it out of model.adapter.parts"
            )
        targets += found
    _say_what_is_not_reached(module, {name for name, owner in owners.items() if owner in lora.parts})
    settings = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets)
    settings.base_model_name_or_path = _origin(module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(seed, Purpose.ADAPTER) % 2**63)
        try:
            inject_adapter_in_model(settings, module, adapter_name=_ADAPTER)
        except ValueError as error:
            raise ModelError(f"peft cannot adapt {type(module).__name__}: {error}") from error
    for weight in module.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def _say_what_is_not_reached(module: Any, names: Collection[str]) -> None:
    stacked = {
        name: weight.numel() for name, weight in module.named_parameters() if name in names and _is_stack(module, name)
    }
    if stacked:
        whole = sum(weight.numel() for name, weight in module.named_parameters() if name in names)
        logging.getLogger("rethinker").warning(
            f"an adapter reaches linear layers alone: {sum(stacked.values()):,} of {whole:,} weights of its parts "
            f"stand in stacks of matrices, such as {next(iter(stacked))}, and stay as they are"
        )


def _is_stack(module: Any, name: str) -> bool:
    """Whether a parameter is several matrices in one tensor; a convolution's kernel is not, nor is a table of one."""
    weight = module.get_parameter(name)
    holder = module.get_submodule(name.rpartition(".")[0])
    return weight.ndim == 3 and weight.shape[0] > 1 and not isinstance(holder, torch.nn.Conv1d)


def recompute_activations(module: Any) -> None:
    """Hold only each layer's input and compute the rest again in the backward pass: less memory, a third more work.

    Raises:
        ModelError: the model cannot.
    """
    if not module.supports_gradient_checkpointing:
        raise ModelError(f"{type(module).__name__} cannot checkpoint; set model.gradient_checkpointing=false")
    module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def has_adapter(module: Any) -> bool:
    """Whether `add_lora` was here."""
    return bool(_adapted(module))


@contextmanager
def without_adapter(module: Any) -> Iterator[None]:
    """Compute as the model did before training; a module without an adapter stays as it is."""
    layers = list(_adapted(module).values())
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def merged_weights(module: Any) -> Iterator[tuple[str, Tensor]]:
    """Every weight under its Hugging Face name, adapters added in, one at a time; the module itself is not changed.

    Tied weights come once.
    """
    adapted = _adapted(module)
    for name, weight in module.named_parameters():
        if name.partition(".lora_")[0] in adapted:
            continue
        path, inside, leaf = name.partition(".base_layer.")
        if inside and path in adapted:
            yield f"{path}.{leaf}", _merged(weight, adapted[path]) if leaf == "weight" else weight.detach()
        else:
            yield name, weight.detach()


def save(module: Any, folder: Path) -> None:
    """Write what was trained: the whole model, or the adapter alone beside its base's name, as peft reads it."""
    if has_adapter(module):
        save_adapter(module, adapter_weights(module), folder)
    else:
        _write(module, folder)


def save_adapter(module: Any, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write these as the weights of a module's adapter, under the names of `adapter_weights`."""
    save_file({name: weight.detach().cpu().contiguous() for name, weight in weights.items()}, folder / _WEIGHTS)
    module.peft_config[_ADAPTER].save_pretrained(folder)


@torch.no_grad()
def load_adapter(module: Any, folder: Path) -> None:
    """Take the adapter's weights from a folder that `save` wrote.

    Raises:
        ModelError: they are not of this module's adapter.
    """
    weights, found = adapter_weights(module), load_file(folder / _WEIGHTS)
    if odd := sorted(weights.keys() ^ found.keys()):
        raise ModelError(f"{folder} holds the adapter of another model: {len(odd)} weights differ, first {odd[0]}")
    for name, weight in weights.items():
        weight.copy_(found[name])


def base_of(folder: Path) -> str:
    """The model that an adapter was trained on: a folder's absolute path, or a hub name."""
    described = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    return str(described["base_model_name_or_path"])


def save_merged(module: Any, folder: Path) -> None:
    """Write the whole model with its adapter added in, as if it had been trained in full."""
    whole = {**dict(merged_weights(module)), **kept_buffers(module)}
    _write(module, folder, state_dict={name: tensor.contiguous() for name, tensor in whole.items()})


def _write(module: Any, folder: Path, **given: Any) -> None:
    """As transformers writes it, with the settings of generation as they came.

    Of those transformers refuses, after a whole run, what it reads without a word: a temperature, say, without the flag
    that turns sampling on. Engines other than its own read them all the same.
    """
    settings = module.generation_config
    if settings is None:
        module.save_pretrained(folder, **given)
        return
    module.generation_config = type(settings)()
    try:
        module.save_pretrained(folder, **given)
    finally:
        module.generation_config = settings
    save_generation_settings(module, folder)


def save_generation_settings(module: Any, folder: Path) -> None:
    """Write the settings of generation as they came, for a module that has some."""
    if module.generation_config is not None:
        module.generation_config.to_json_file(folder / GENERATION_CONFIG_NAME, keys_to_pop=["compile_config"])


def _adapted(module: Any) -> dict[str, Any]:
    """Layers that carry an adapter, by path."""
    if not hasattr(module, "peft_config"):
        return {}
    from peft.tuners.lora import LoraLayer

    return {name: child for name, child in module.named_modules() if isinstance(child, LoraLayer)}


def kept_buffers(module: Any) -> dict[str, Tensor]:
    """What a folder holds besides weights, under the names that it has without an adapter."""
    weights = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    held = module.state_dict()
    return {name.replace(".base_layer.", "."): held[name] for name in held if name not in weights}


def adapter_weights(module: Any) -> dict[str, Tensor]:
    """The adapter's own weights under their names in a file."""
    adapted = _adapted(module)
    return {
        f"{_PREFIX}{name.replace(f'.{_ADAPTER}.', '.')}": weight
        for name, weight in module.named_parameters()
        if name.partition(".lora_")[0] in adapted
    }


@torch.no_grad()
def _merged(weight: Tensor, layer: Any) -> Tensor:
    return (weight + layer.get_delta_weight(_ADAPTER)).to(weight.dtype)


def _origin(module: Any) -> str:
    """Where the base lies: a folder's absolute path, or a hub name."""
    path = Path(module.name_or_path)
    return str(path.resolve()) if path.exists() else str(module.name_or_path)
