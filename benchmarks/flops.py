"""The arithmetic of an update: what really ran, counted; what no learner can do without, reckoned.

Counting sees every matrix product that torch dispatches, recomputation and padding of attention included, and nothing
inside code that torch has compiled. The minimum counts each token's pass through the weights once forward and twice
backward, pairs of tokens in attention only where one sees the other, and the output layer at response tokens alone.
Everything else (norms, activations, the optimiser) is left out of both: it is no matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

FORWARD_AND_BACKWARD = 6
"""Operations per weight and token: two forward, two each for the gradients of inputs and weights."""


def counted(work: Callable[[], object]) -> dict[str, int]:
    """Operations that really ran, by operator."""
    with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
        work()
    return {str(operator): int(flops) for operator, flops in counter.get_flop_counts()["Global"].items()}


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    batch, heads, queries, width = query
    return 2 * batch * heads * queries * key[2] * (width + value[3])


def _attention_backward(_: Any, query: Any, key: Any, value: Any, *__: Any, **___: Any) -> int:
    """Five products: the scores again, the gradients of values and weights, of queries and of keys."""
    batch, heads, queries, width = query
    return 2 * batch * heads * queries * key[2] * (3 * width + 2 * value[3])


_CPU_ATTENTION: dict[Any, Any] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
"""What torch's own counter leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """Responses that share a prompt.

    Attributes:
        grids: Patches of each image, (height, width).
        responses: Length of each.
    """

    prompt: int
    grids: tuple[tuple[int, int], ...]
    responses: tuple[int, ...]

    @property
    def patches(self) -> int:
        """Of all images."""
        return sum(high * wide for high, wide in self.grids)


def apart(groups: Sequence[Grouped]) -> list[Grouped]:
    """The same where every response brings its prompt and images along."""
    return [
        Grouped(prompt=group.prompt, grids=group.grids, responses=(length,))
        for group in groups
        for length in group.responses
    ]


def least_tokens(groups: Sequence[Grouped]) -> int:
    """Tokens that must pass the language model: a response's last token predicts nothing."""
    return sum(group.prompt + sum(length - 1 for length in group.responses) for group in groups)


def minimum(module: Any, groups: Sequence[Grouped], *, tokens: int) -> dict[str, int]:
    """Operations of one update of a Qwen2.5-VL that trains all its weights, by part.

    Args:
        tokens: Tokens that pass the language model.
    """
    patches = sum(group.patches for group in groups)
    config, tower = module.config, module.get_encoder(modality="image")
    merge = config.vision_config.spatial_merge_size**2
    answered = sum(sum(group.responses) for group in groups)
    return {
        "language": FORWARD_AND_BACKWARD * _weights(module.get_decoder()) * tokens,
        "language attention": _language_attention(config.get_text_config(), groups),
        "output": FORWARD_AND_BACKWARD * module.get_output_embeddings().weight.numel() * answered,
        "tower": FORWARD_AND_BACKWARD * _weights(tower.blocks) * patches
        + FORWARD_AND_BACKWARD * _weights(tower.merger) * (patches // merge)
        + 4 * tower.patch_embed.proj.weight.numel() * patches,  # pixels need no gradient
        "tower attention": _tower_attention(config.vision_config, groups),
    }


def _weights(module: Any) -> int:
    """Entries of all matrices of linear layers."""
    return sum(each.weight.numel() for each in module.modules() if isinstance(each, torch.nn.Linear))


def _language_attention(text: Any, groups: Sequence[Grouped]) -> int:
    width = text.to_dict().get("head_dim") or text.hidden_size // text.num_attention_heads
    pairs = sum(
        _triangle(group.prompt) + sum(length * group.prompt + _triangle(length) for length in group.responses)
        for group in groups
    )
    return 2 * FORWARD_AND_BACKWARD * pairs * text.num_attention_heads * width * text.num_hidden_layers


def _triangle(length: int) -> int:
    return length * (length + 1) // 2


def _tower_attention(vision: Any, groups: Sequence[Grouped]) -> int:
    """Some layers see the whole image, the others windows of it."""
    grids = [grid for group in groups for grid in group.grids]
    side = vision.window_size // vision.patch_size
    whole = sum((high * wide) ** 2 for high, wide in grids)
    windows = sum(_squares(high, side) * _squares(wide, side) for high, wide in grids)
    full = len(vision.fullatt_block_indexes)
    pairs = full * whole + (vision.depth - full) * windows
    return 2 * FORWARD_AND_BACKWARD * pairs * vision.hidden_size


def _squares(length: int, side: int) -> int:
    """Σ of the squares of the pieces that a length falls into."""
    return length // side * side**2 + (length % side) ** 2


def total(parts: Mapping[str, int]) -> int:
    """All parts together."""
    return sum(parts.values())


def products(module: Any, *, tokens: int, patches: int, answered: int) -> list[tuple[int, int, int]]:
    """The forward's matrix products of one layer of each kind and of the output layer, as (rows, inner, columns)."""
    tower = module.get_encoder(modality="image")
    found = [
        (rows, layer.weight.shape[1], layer.weight.shape[0])
        for stack, rows in ((module.get_decoder().layers[0], tokens), (tower.blocks[0], patches))
        for layer in stack.modules()
        if isinstance(layer, torch.nn.Linear) and rows
    ]
    head = module.get_output_embeddings().weight
    return [*found, (answered, head.shape[1], head.shape[0])]
