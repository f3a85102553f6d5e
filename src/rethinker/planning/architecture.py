"""A model's shape from its config.json alone: it is built on the meta device, which holds no weights.

A local folder is read; a public model that is not at hand is looked up in `assets/architectures`, whose files are the
published hyper-parameters.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from rethinker.errors import ModelError
from rethinker.models.adapters import Part, part_of
from rethinker.models.tiny import TINY_FOLDER
from rethinker.planning.shapes import Architecture, Parameters, Stack

KNOWN = Path(__file__).parent.parent / "assets" / "architectures"
"""Config files of public models, `<owner>--<name>.json`."""

_ATTENDING = {"full_attention", "sliding_attention"}
"""Kinds of layers that see other tokens by an attention which can be chosen by name."""

_USUAL_PATCHES_PER_TOKEN = 4
"""Where the config does not say: most projectors merge 2 × 2 patches."""


def read(path: str, choose_trained: Callable[[Any], None]) -> Architecture:
    """The shape of a model.

    Args:
        path: `tiny`, a folder with a config.json, or a name that the table knows.
        choose_trained: Freezes and adapts the module as the run will.

    Raises:
        ModelError: the model is neither at hand nor known, or its class is not, or it is no transformer.
    """
    document = _document(path)
    try:
        config = AutoConfig.for_model(**document)
        text_only = config.get_text_config() is config
        with torch.device("meta"):
            module = (AutoModelForCausalLM if text_only else AutoModelForImageTextToText).from_config(config)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the config.json of {path} is of no model that transformers knows: {error}") from error
    with torch.device("meta"):
        choose_trained(module)
    return measure(module)


def measure(module: Any) -> Architecture:
    """The shape of a built model; nothing of it is read but names, sizes and what is trained.

    Raises:
        ModelError: it is no transformer, or one that cannot share prompts.
    """
    owners, text = part_of(module), module.config.get_text_config().to_dict()
    if "num_attention_heads" not in text:
        raise ModelError(f"{type(module).__name__} has no attention heads; only transformers can be planned")
    if odd := _unshared(text):
        raise ModelError(
            f"{type(module).__name__} has {odd}, so it cannot share prompts: every response is a forward of its own, "
            "and a plan counts shared ones; there is none for such a model yet"
        )
    vision = module.config.to_dict().get("vision_config", {})
    sides, merge = vision.get("patch_size", 1), int(vision.get("spatial_merge_size", 0))
    patch = int(sides[0] if isinstance(sides, list | tuple) else sides)
    heads, has_vision = int(text["num_attention_heads"]), "vision" in owners.values()
    return Architecture(
        language=_stack(module, "language", heads=heads, keys=int(text.get("num_key_value_heads") or heads)),
        vision=_stack(module, "vision", heads=1, keys=1) if has_vision else None,
        vocabulary=int(module.get_output_embeddings().weight.shape[0]),
        patches_per_token=merge**2 or _USUAL_PATCHES_PER_TOKEN,
        patch=patch,
        pixels_per_patch=3 * int(vision.get("temporal_patch_size", 1)) * patch**2,
        parameters=_parameters(module, owners),
    )


def _unshared(text: dict[str, Any]) -> str:
    """What of the configuration tells that prompts cannot be shared (`models.sharing` tries it); empty if nothing."""
    kinds = sorted(set(text.get("layer_types") or ()) - _ATTENDING)
    caps = [name for name in ("attn_logit_softcapping", "final_logit_softcapping") if text.get(name)]
    return ", ".join([*(f"{kind} layers" for kind in kinds), *caps])


def _document(path: str) -> dict[str, Any]:
    file = (TINY_FOLDER if path == "tiny" else Path(path)) / "config.json"
    if not file.is_file():
        file = KNOWN / f"{path.replace('/', '--')}.json"
    if not file.is_file():
        known = ", ".join(sorted(each.stem.replace("--", "/") for each in KNOWN.glob("*.json")))
        raise ModelError(
            f"no config.json is known for model.path={path}; give a folder that holds one, or one of: {known}"
        )
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def _stack(module: Any, part: Part, *, heads: int, keys: int) -> Stack:
    """The shape of a part's layers, read off the linear layers of the first: attention comes first, then the rest."""
    layers = _layers(module, part)
    linear = _linear(layers[0])
    weights = [weight for name, weight in layers[0].named_parameters() if ".lora_" not in name]
    first, last = linear[0][0], linear[-1][0]
    queries = int(first.weight.shape[0]) if heads > 1 else int(first.weight.shape[1])
    inner = int(last.weight.shape[1])
    return Stack(
        layers=len(layers),
        width=int(first.weight.shape[1]),
        inner=inner,
        gated=sum(layer.weight.shape[0] == inner for layer, _ in linear) > 1,
        heads=heads,
        queries=queries,
        keys=queries * keys // heads,
        weights=sum(weight.numel() for weight in weights),
        trained=any(weight.requires_grad for weight in weights),
        adapted=tuple((int(layer.weight.shape[1]), rank) for layer, rank in linear if rank),
    )


def _layers(module: Any, part: Part) -> torch.nn.ModuleList:
    """The longest list of modules in a part's own root."""
    root = module.get_decoder() if part == "language" else module.get_encoder(modality="image")
    lists = [child for child in root.modules() if isinstance(child, torch.nn.ModuleList)]
    if not lists:
        raise ModelError(
            f"{type(module).__name__} keeps the layers of its {part} part in no list; it cannot be planned"
        )
    return max(lists, key=len)


def _linear(layer: torch.nn.Module) -> list[tuple[torch.nn.Linear, int]]:
    """A layer's linear layers in order, each with the rank of its adapter, 0 without one."""
    named = dict(layer.named_modules())
    found = []
    for name, child in named.items():
        if isinstance(child, torch.nn.Linear) and ".lora_" not in name:
            adapter = named.get(f"{name.removesuffix('base_layer')}lora_A.default")
            found.append((child, int(adapter.weight.shape[0]) if isinstance(adapter, torch.nn.Linear) else 0))
    return found


def _parameters(module: Any, owners: dict[str, Part]) -> dict[str, Parameters]:
    weights = dict(module.named_parameters())
    return {
        part: Parameters(
            total=sum(weights[name].numel() for name in names),
            trained=sum(weights[name].numel() for name in names if weights[name].requires_grad),
            adapter=sum(weights[name].numel() for name in names if ".lora_" in name),
        )
        for part in dict.fromkeys(owners.values())
        if (names := [name for name, owner in owners.items() if owner == part])
    }
