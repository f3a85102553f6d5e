"""Patch embeddings as matrix products.

Qwen's towers put patches that are cut already through a convolution whose kernel is the whole patch. That is a linear
layer, which convolution libraries make several times slower, on a CPU and on CUDA alike.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear


class _WholePatch(nn.Conv3d):
    """A convolution that knows when it is a product. Only ever made from a `Conv3d` that is there."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the base class's name)
        """As the convolution."""
        if tuple(input.shape[2:]) != tuple(self.kernel_size):
            return super().forward(input)
        flat = linear(input.flatten(1), self.weight.flatten(1), self.bias)
        return flat[..., None, None, None]


def embed_patches_by_products(module: Any) -> None:
    """Let every unpadded `Conv3d` of one group take the short way where it can; weights and names stay as they are."""
    for part in module.modules():
        if type(part) is nn.Conv3d and part.groups == 1 and set(part.padding) == {0} and set(part.dilation) == {1}:
            part.__class__ = _WholePatch
