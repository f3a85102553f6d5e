"""A text-only model's processor: its tokenizer, asked in the way a VLM's processor is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase


class TextProcessor:
    """Renders and tokenises; has no images to prepare."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def __call__(self, *, text: Sequence[str], images: None = None, **settings: Any) -> Any:
        """Token ids of texts."""
        assert images is None, "a text-only model was given images"
        return self.tokenizer(list(text), **settings)

    def apply_chat_template(self, conversation: Sequence[dict[str, Any]], **settings: Any) -> str:
        """Render a conversation; its text parts become one string, which is what text-only templates read."""
        joined = [turn | {"content": "".join(part["text"] for part in turn["content"])} for turn in conversation]
        text: str = self.tokenizer.apply_chat_template(joined, **settings)
        return text

    def save_pretrained(self, folder: Path) -> None:
        """Write the tokenizer."""
        self.tokenizer.save_pretrained(folder)
