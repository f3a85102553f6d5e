"""How a question is put to the model: the paper's two prompts (section 3; appendix, prompts)."""

from __future__ import annotations

from typing import Any, Literal

from rethinker.types import IMAGE_MARK

Template = Literal["plain", "rethinking"]

SUFFIXES: dict[Template, str] = {
    "plain": "\n\nPlease reason step by step, and put your final answer within \\boxed{}.",
    "rethinking": (
        "\n\nGuidelines: Please think step by step, and **regularly perform self-questioning, self-verification, "
        'self-correction to check your ongoing reasoning**, using connectives such as "Wait a moment", '
        '"Wait, does it seem right?", etc. Remember to put your final answer within \\boxed{}.'
    ),
}


def messages(question: str, template: Template) -> list[dict[str, Any]]:
    """One user turn in chat-template form, with an image entry where each `<image>` mark stood."""
    content: list[dict[str, str]] = []
    parts = (question + SUFFIXES[template]).split(IMAGE_MARK)
    for index, part in enumerate(parts):
        if index:
            content.append({"type": "image"})
        if part:
            content.append({"type": "text", "text": part})
    return [{"role": "user", "content": content}]
