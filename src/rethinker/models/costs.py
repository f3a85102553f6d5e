"""What a packed row costs, counted in passes of one token through the language model's layers.

Products alone are counted: of weights with tokens and patches, and of tokens that see each other. They are most of an
update's time, and alike on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


class Costs:
    """Of one model.

    Args:
        sees_images: Whether it has a vision tower.
    """

    def __init__(self, module: Any, *, sees_images: bool) -> None:
        text = module.config.get_text_config()
        width = text.to_dict().get("head_dim") or text.hidden_size // text.num_attention_heads
        passed = _matrices(module.get_decoder())
        self._pair = 2 * text.num_hidden_layers * text.num_attention_heads * width / passed
        self._value = 0.0
        if sees_images:
            tower = module.get_encoder(modality="image")
            first = next(part for part in tower.modules() if isinstance(part, nn.Linear | nn.Conv2d | nn.Conv3d))
            self._value = _matrices(tower) / passed / first.weight[0].numel()  # it reads patches

    def of(self, prompt_tokens: int, responses: Sequence[int], *, pixel_values: int) -> float:
        """Of a prompt with its images, and of responses that share it.

        Args:
            responses: Tokens of each.
            pixel_values: Numbers that the tower reads.
        """
        seen = _seen(prompt_tokens) + sum(tokens * prompt_tokens + _seen(tokens) for tokens in responses)
        return prompt_tokens + sum(responses) + self._pair * seen + self._value * pixel_values


def _matrices(module: Any) -> int:
    """Entries of all weights that tokens are multiplied with."""
    return sum(
        weight.numel()
        for part in module.modules()
        if not isinstance(part, nn.Embedding)
        for weight in part.parameters(recurse=False)
        if weight.ndim > 1
    )


def _seen(tokens: int) -> int:
    """Pairs of a token and one that it sees, itself and all before it."""
    return tokens * (tokens + 1) // 2
