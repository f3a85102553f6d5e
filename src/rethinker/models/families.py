"""What a family of models does unlike the others; a family that is not here does nothing of the kind.

Everything else about a model is asked of its processor and its forward. To add a family, add an entry; without one it
trains all the same, only its prompts are counted the slow way, by sending blank images through its processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Sizes = Sequence[tuple[int, int]]
"""(height, width) of each image of one prompt."""

Outlined = Callable[[Any, Sizes], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family's peculiarities.

    Attributes:
        image_blocks: The tokens of an image see each other both ways.
        outlined: From a processor and image sizes to what the processor's `replace_image_token` reads.
    """

    image_blocks: bool = False
    outlined: Outlined | None = None


def family(model_type: str) -> Family:
    """The family of a configuration's `model_type`."""
    return _FAMILIES.get(model_type, Family())


def _grids(processor: Any, sizes: Sizes) -> dict[str, Any]:
    """Qwen: so many patches as the resized image holds."""
    patches = [processor.image_processor.get_number_of_image_patches(*size, {}) for size in sizes]
    return {"image_grid_thw": [np.array([1, count, 1]) for count in patches]}


def _tiles(processor: Any, sizes: Sizes) -> dict[str, Any]:
    """InternVL: an image is cut into tiles, unless told otherwise."""
    cut = {"crop_to_patches": True}
    return {"num_patches": [processor.image_processor.get_number_of_image_patches(*size, cut) for size in sizes]}


def _whole(processor: Any, sizes: Sizes) -> dict[str, Any]:  # noqa: ARG001
    """Gemma 3: every image whole, at one size; its processor crops only in a call that asks for it."""
    return {"num_crops": [0] * len(sizes)}


def _splits(processor: Any, sizes: Sizes) -> dict[str, Any]:
    """SmolVLM: rows and columns of tiles."""
    counted = [processor.image_processor.get_number_of_image_patches(*size, {}) for size in sizes]
    return {"rows": [[rows for _, rows, _ in counted]], "cols": [[columns for _, _, columns in counted]]}


def _padded(processor: Any, sizes: Sizes) -> dict[str, Any]:
    """LLaVA-OneVision: a lone image is cut to its best resolution, several are read small."""
    edge = processor.image_processor.size
    tile = np.empty((3, edge["height"], edge["width"]), dtype=np.bool_)
    return {"batch_num_images": [len(sizes)], "image_sizes": list(sizes), "pixel_values": [[tile]]}


_QWEN = Family(outlined=_grids)

_FAMILIES = {
    "gemma3": Family(image_blocks=True, outlined=_whole),
    "internvl": Family(outlined=_tiles),
    "llava_onevision": Family(outlined=_padded),
    "qwen2_5_vl": _QWEN,
    "qwen2_vl": _QWEN,
    "qwen3_5": _QWEN,
    "qwen3_vl": _QWEN,
    "smolvlm": Family(outlined=_splits),
}
