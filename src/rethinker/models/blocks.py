"""A packed line's attention on CUDA: FlexAttention with a block mask, so that no mask of length × length is ever made.

Who sees whom is a rule over four numbers per token; the kernel skips whole blocks of tokens that see nothing of each
other, which is most of a line with many responses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from rethinker.models.attention import PackedLayout
from rethinker.models.compiling import outside

_EVERYWHERE = 2**30
"""A window that nothing reaches beyond."""


class BlockLayout(PackedLayout):
    """Attention of a packed line by blocks; arguments as `TableLayout`."""

    def __init__(
        self,
        prompts: Sequence[int],
        responses: Sequence[int],
        owners: Sequence[int],
        *,
        blocks: Sequence[Int64[np.ndarray, " prompt"]] | None = None,
        dtype: torch.dtype,  # noqa: ARG002 (a block mask has no numbers)
        device: torch.device,
    ) -> None:
        asked, given = np.array(prompts, dtype=np.int64), np.array(responses, dtype=np.int64)
        of = np.array(owners, dtype=np.int64)
        before = np.concatenate([np.zeros_like(asked), asked[of]])
        lengths = np.concatenate([asked, given])
        inside = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
        images = np.full(int(lengths.sum()), -1, dtype=np.int64)
        if blocks is not None:
            images[: int(asked.sum())] = np.concatenate(blocks)

        def on_device(values: Int64[np.ndarray, " line"]) -> Tensor:
            return torch.from_numpy(values).to(device)

        self._prompt = on_device(np.repeat(np.concatenate([np.arange(len(asked)), of]), lengths))
        self._response = on_device(np.repeat(np.concatenate([np.full(len(asked), -1), np.arange(len(given))]), lengths))
        self._place = on_device(np.repeat(before, lengths) + inside)
        self._image = on_device(images)
        self._masks: dict[int, BlockMask] = {}

    @property
    def slots(self) -> int:
        """Tokens of the line: nothing is padded."""
        return len(self._place)

    @property
    def padding(self) -> int:
        """None."""
        return 0

    @outside
    def attend(
        self,
        layer: int,  # noqa: ARG002
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scaling: float,
        window: int | None,
    ) -> Float[Tensor, "1 tokens heads width"]:
        """One kernel over the line."""
        attended: Tensor = _kernel(query.device.type)(
            query, key, value, block_mask=self._mask(window), scale=scaling, enable_gqa=query.shape[1] != key.shape[1]
        )
        return attended.transpose(1, 2)

    @outside
    def _mask(self, window: int | None) -> BlockMask:
        """The blocks that meet; made once per window."""
        reach = window or _EVERYWHERE
        if reach not in self._masks:
            length, device = self.slots, self._place.device
            self._masks[reach] = _block_mask(device.type)(
                self._rule(reach), None, None, length, length, device=device.type
            )
        return self._masks[reach]

    def _rule(self, reach: int) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """Whether a token sees another: of its own prompt, before it or in its image, shared or its own response's."""
        prompt, response, place, image = self._prompt, self._response, self._place, self._image

        def sees(batch: Tensor, head: Tensor, asks: Tensor, key: Tensor) -> Tensor:  # noqa: ARG001
            shared = (response[key] < 0) | (response[key] == response[asks])
            distance = place[asks] - place[key]
            together = (image[asks] == image[key]) & (image[key] >= 0)
            return (prompt[asks] == prompt[key]) & shared & ((distance >= 0) | together) & (distance < reach)

        return sees


@cache
def _kernel(device: str) -> Any:
    """FlexAttention, compiled where it is fast; elsewhere it is plain torch, which tests compare with."""
    return torch.compile(flex_attention, dynamic=True) if device == "cuda" else flex_attention


@cache
def _block_mask(device: str) -> Any:
    """Compiled, no length × length tensor is made on the way."""
    return torch.compile(create_block_mask, dynamic=True) if device == "cuda" else create_block_mask
