"""Answers in OpenAI's shapes. What rethinking adds stands in fields of its own, and only where `rethink` was given."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rethinker.inference.looks import Look, Response, Text


def look_fields(look: Look) -> dict[str, Any]:
    """One look, as clients read it."""
    return {
        "trigger": look.trigger,
        "text": look.text,
        "answer": look.answer,
        "tokens": look.tokens,
        "finish_reason": look.finish,
        "logprob": look.logprob,
    }


def response_fields(response: Response) -> dict[str, Any]:
    """The looks of a response and what became of its answer."""
    return {
        "looks": [look_fields(look) for look in response.looks],
        "answer": response.answer,
        "changed": response.changed,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What all parts of one answer say.

    Attributes:
        tells_looks: Whether the looks are told apart.
    """

    id: str
    model: str
    prompt_tokens: int
    tells_looks: bool
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, responses: Sequence[Response]) -> dict[str, Any]:
        """An answer at once."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": response.text, "refusal": None},
                "logprobs": None,
                "finish_reason": response.finish,
                **({"rethink": response_fields(response)} if self.tells_looks else {}),
            }
            for index, response in enumerate(responses)
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": self.usage(responses)}

    def opening(self, index: int) -> dict[str, Any]:
        """The first chunk of a choice."""
        return self._chunk(index, {"role": "assistant", "content": ""})

    def grown(self, index: int, text: Text) -> dict[str, Any]:
        """A chunk of text; which look it is of, and whether a trigger, where that is told."""
        told = {"look": text.look, "kind": text.kind} if self.tells_looks else {}
        return self._chunk(index, {"content": text.text, **told})

    def ended(self, index: int, response: Response) -> dict[str, Any]:
        """The last chunk of a choice."""
        chunk = self._chunk(index, {}, finish=response.finish)
        if self.tells_looks:
            chunk["choices"][0]["rethink"] = response_fields(response)
        return chunk

    def counted(self, responses: Sequence[Response]) -> dict[str, Any]:
        """The chunk that says what was used."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage(responses)}

    def usage(self, responses: Sequence[Response]) -> dict[str, int]:
        """Tokens of the prompt, once, and of all responses."""
        made = sum(response.tokens for response in responses)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": made,
            "total_tokens": self.prompt_tokens + made,
        }

    def _chunk(self, index: int, delta: Mapping[str, Any], *, finish: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def event(fields: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(fields, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
