"""How a question is put to the model: the paper's two prompts (section 3; appendix), or the question as it stands."""

from __future__ import annotations

from typing import Any, Literal

from rethinker.types import IMAGE_MARK

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
    """One user turn in chat-template form, with an image entry where each `<image>` mark stood.

    Args:
        in_parts: As a list of images and texts; else as one text, which is what text-only models' templates read.
    """
    asked = question + SUFFIXES[template]
    if not in_parts:
        return [{"role": "user", "content": asked}]
    content: list[dict[str, str]] = []
    for index, part in enumerate(asked.split(IMAGE_MARK)):
        if index:
            content.append({"type": "image"})
        if part:
            content.append({"type": "text", "text": part})
    return [{"role": "user", "content": content}]
