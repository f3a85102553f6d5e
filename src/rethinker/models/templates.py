"""How a question is put to the model: the paper's two prompts (section 3; appendix), or the question as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from rethinker.types import IMAGE_MARK, Turn

Template = Literal["plain", "rethinking", "bare"]

SUFFIXES: dict[Template, str] = {
    "plain": "\n\nPlease reason step by step, and put your final answer within \\boxed{}.",
    "rethinking": (
        "\n\nGuidelines: Please think step by step, and **regularly perform self-questioning, self-verification, "
        'self-correction to check your ongoing reasoning**, using connectives such as "Wait a moment", '
        '"Wait, does it seem right?", etc. Remember to put your final answer within \\boxed{}.'
    ),
    "bare": "",
}


def messages(question: str, template: Template, *, in_parts: bool = True) -> list[dict[str, Any]]:
    """One user turn; see `chat`."""
    return chat((Turn(role="user", text=question),), template, in_parts=in_parts)


def chat(turns: Sequence[Turn], template: Template, *, in_parts: bool = True) -> list[dict[str, Any]]:
    """Turns in chat-template form, with an image entry where each `<image>` mark stood; the template ends the last.

    Args:
        in_parts: As a list of images and texts; else as one text, which is what text-only models' templates read.
    """
    texts = [*(turn.text for turn in turns[:-1]), turns[-1].text + SUFFIXES[template]]
    return [
        {"role": turn.role, "content": _parts(text) if in_parts else text}
        for turn, text in zip(turns, texts, strict=True)
    ]


def _parts(text: str) -> list[dict[str, str]]:
    content: list[dict[str, str]] = []
    for index, part in enumerate(text.split(IMAGE_MARK)):
        if index:
            content.append({"type": "image"})
        if part:
            content.append({"type": "text", "text": part})
    return content
