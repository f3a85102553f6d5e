"""How long a prompt's images are in tokens, from their sizes alone.

A processor writes an image as text: marks, and a run of one placeholder token per image feature. Placeholders are
tokens of their own wherever they stand, so a run shortened to one of them is tokenised for its neighbours' sake and
the rest is added by counting. What stands around a run (Gemma's line breaks, SmolVLM's row marks) stays as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from rethinker.models.families import Outlined, Sizes

_SIZES_KEPT = 100_000
"""Most sizes whose text is kept; a few hundred bytes each."""


class Placeholders:
    """The text of images by size, with shortened runs.

    Args:
        outlined: What the processor's `replace_image_token` reads, from sizes (`families.Family`).
    """

    def __init__(self, processor: Any, image_token_id: int, outlined: Outlined) -> None:
        self._processor, self._outlined = processor, outlined
        self._token: str = processor.tokenizer.convert_ids_to_tokens(image_token_id)
        self._run = re.compile(f"({re.escape(self._token)})+")
        self._shortened = lru_cache(_SIZES_KEPT)(self._shorten)

    def expanded(self, text: str, sizes: Sizes) -> tuple[str, int]:
        """A rendered prompt with its images put in, shortened, and how many tokens were left out."""
        found = [self._shortened(size, len(sizes)) for size in sizes]
        (short,), _ = self._processor.get_text_with_replacements([text], [replacement for replacement, _ in found])
        return short, sum(left_out for _, left_out in found)

    def _shorten(self, size: tuple[int, int], images: int) -> tuple[str, int]:
        """One of so many images of a prompt."""
        whole = self._processor.replace_image_token(self._outlined(self._processor, [size] * images), 0)
        short = self._run.sub(self._token, whole)
        return short, (len(whole) - len(short)) // len(self._token)
