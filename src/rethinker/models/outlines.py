"""How long a prompt's images are in tokens, from their sizes alone.

A processor writes an image as text: marks, and a run of one placeholder token per image feature. Placeholders are
tokens of their own wherever they stand, so a run shortened to one of them is tokenised for its neighbours' sake and
the rest is added by counting. What stands around a run (Gemma's line breaks, SmolVLM's row marks) stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rethinker.models.families import Sizes

_SIZES_KEPT = 100_000
"""Most sizes whose text is kept; a few hundred bytes each."""


class Placeholders:
    """The text of images by size, with shortened runs.

    Args:
        outlined: What the processor's `replace_image_token` reads, from sizes (`families.Family`).
    """

    def __init__(
        self, processor: Any, config: Any, outlined: Callable[[Any, Sizes], dict[str, Any] | None] | None
    ) -> None:
        self._processor, self._outlined = processor, outlined
        if outlined is not None:
            token = processor.tokenizer.convert_ids_to_tokens(config.image_token_id)
            self._run = re.compile(f"({re.escape(token)})+")
            self._token = token
            self._shortened = lru_cache(_SIZES_KEPT)(self._shorten)

    def expanded(self, text: str, sizes: Sizes) -> tuple[str, int] | None:
        """A rendered prompt with its images put in, shortened, and how many tokens were left out; None if unknown."""
        if not sizes:
            return text, 0
        found = [self._shortened(size, len(sizes)) for size in sizes] if self._outlined is not None else [None]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            return None
        (short,), _ = self._processor.get_text_with_replacements([text], [replacement for replacement, _ in known])
        return short, sum(left_out for _, left_out in known)

    def _shorten(self, size: tuple[int, int], images: int) -> tuple[str, int] | None:
        """One of so many images of a prompt."""
        assert self._outlined is not None
        inputs = self._outlined(self._processor, [size] * images)
        if inputs is None:
            return None
        whole = self._processor.replace_image_token(inputs, 0)
        short = self._run.sub(self._token, whole)
        return short, (len(whole) - len(short)) // len(self._token)
