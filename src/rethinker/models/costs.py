"""What a packed row costs: in passes of one token through the language model's layers, and in operations of an update.

Products alone are counted: of weights with tokens and patches, and of tokens that see each other. They are most of an
update's time, and alike on every machine. What the tower's patches see of each other is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn


class Costs:
    """Of one model; what of it is trained must be settled.

    Args:
        sees_images: Whether it has a vision tower.
    """

    def __init__(self, module: Any, *, sees_images: bool) -> None:
        text = module.config.get_text_config()
        width = text.to_dict().get("head_dim") or text.hidden_size // text.num_attention_heads
        decoder, head = module.get_decoder(), module.get_output_embeddings().weight
        passed, pair = _matrices(decoder), 2 * text.num_hidden_layers * text.num_attention_heads * width
        self._pair, self._value = pair / passed, 0.0
        self._value_operations, below = 0.0, False
        if sees_images:
            tower = module.get_encoder(modality="image")
            first = next(part for part in tower.modules() if isinstance(part, nn.Linear | nn.Conv2d | nn.Conv3d))
            patch = first.weight.shape[1:].numel()  # it reads patches
            self._value = _matrices(tower) / passed / patch
            below = _is_trained(tower)
            merged = module.config.to_dict().get("vision_config", {}).get("spatial_merge_size", 1) ** 2
            self._value_operations = _tower_operations(tower, merged, back=below) / patch
        back = below or _is_trained(decoder)
        self._token_operations = _operations(decoder, back=back)
        self._pair_operations = 2 * pair * (3 if back else 1)
        self._head_operations = head.numel() * (2 + 2 * back + 2 * head.requires_grad)

    def of(self, prompt_tokens: int, responses: Sequence[int], *, pixel_values: int) -> float:
        """Of a prompt with its images, and of responses that share it, in passes of a token.

        Args:
            responses: Tokens of each.
            pixel_values: Numbers that the tower reads.
        """
        tokens, pairs = prompt_tokens + sum(responses), _pairs(prompt_tokens, responses)
        return tokens + self._pair * pairs + self._value * pixel_values

    def operations(self, prompt_tokens: int, responses: Sequence[int], *, pixel_values: int) -> float:
        """Of the same, forward and backward, the output layer included and nothing computed twice.

        Backward asks for the gradient of a trained weight, and of what it was multiplied with where anything that is
        trained lies below.
        """
        tokens, pairs = prompt_tokens + sum(responses), _pairs(prompt_tokens, responses)
        return (
            self._token_operations * tokens
            + self._pair_operations * pairs
            + self._head_operations * sum(responses)
            + self._value_operations * pixel_values
        )


def _matrices(module: Any) -> int:
    """Entries of all weights that tokens are multiplied with."""
    return sum(weight.numel() for weight in _multiplied(module))


def _operations(module: Any, *, back: bool) -> int:
    """For one token, or patch; two for each entry, and as many for either gradient."""
    return sum(weight.numel() * (2 + 2 * back + 2 * weight.requires_grad) for weight in _multiplied(module))


def _tower_operations(tower: Any, merged: int, *, back: bool) -> float:
    """For one patch; behind the layers so many of them are one."""
    lists = [part for part in tower.modules() if isinstance(part, nn.ModuleList)]
    layers = max(lists, key=len, default=tower)
    first = next(_multiplied(tower))
    reads = first.numel() * (2 + 2 * first.requires_grad)  # pixels need no gradient
    inside, whole = _operations(layers, back=back), _operations(tower, back=back)
    behind = whole - inside - first.numel() * (2 + 2 * back + 2 * first.requires_grad)
    return reads + inside + behind / merged


def _multiplied(module: Any) -> Iterator[nn.Parameter]:
    for part in module.modules():
        if not isinstance(part, nn.Embedding):
            yield from (weight for weight in part.parameters(recurse=False) if weight.ndim > 1)


def _is_trained(module: Any) -> bool:
    return any(weight.requires_grad for weight in module.parameters())


def _pairs(prompt_tokens: int, responses: Sequence[int]) -> int:
    """Tokens and those that they see, of a prompt and responses that share it."""
    return _seen(prompt_tokens) + sum(tokens * prompt_tokens + _seen(tokens) for tokens in responses)


def _seen(tokens: int) -> int:
    """Pairs of a token and one that it sees, itself and all before it."""
    return tokens * (tokens + 1) // 2
