"""A text-only model's processor: its tokenizer, asked in the way a VLM's processor is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase


class TextProcessor:
    """Tokenises; has no images to prepare, and no chat template but the tokenizer's."""

    chat_template = None

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def __call__(self, *, text: Sequence[str], images: Any = None, **settings: Any) -> Any:
        """Token ids of texts."""
        assert images is None, "a text-only model was given images"
        return self.tokenizer(list(text), **settings)

    def save_pretrained(self, folder: Path) -> None:
        """Write the tokenizer."""
        self.tokenizer.save_pretrained(folder)
