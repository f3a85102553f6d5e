"""The body of a chat completion request, checked field by field; what is not offered is refused by name.

What would change the answer and cannot be had (tools, a response format, penalties) is refused; what is for OpenAI's
books alone (`user`, `metadata`, …) is passed over.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rethinker.inference.looks import AUTO, Rethinking, Wanted
from rethinker.inference.refused import Refused
from rethinker.interfaces import Sampling
from rethinker.types import IMAGE_MARK, Turn

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_PASSED_OVER = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"}
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "logprobs": (False,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "tool_choice": ("none",),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "logit_bias": ({},),
    "modalities": (["text"],),
}
"""Fields whose effect is not offered, and the values that ask for none."""
_TAKEN = {
    *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop", "n"),
    *("stream", "stream_options", "rethink"),
}
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_MOST_STOPS, _LONGEST_STOP = 4, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The most that a request may ask for."""

    tokens: int
    choices: int
    images: int
    looks: int
    turns: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What is asked.

    Attributes:
        images: Addresses (`data:`, or http), in the order of the turns' marks.
        tells_usage: Whether a stream ends with the tokens used.
        tells_looks: Whether the answer is told look by look: `rethink` was given.
    """

    turns: tuple[Turn, ...]
    images: tuple[str, ...]
    wanted: Wanted
    choices: int
    stream: bool
    tells_usage: bool
    tells_looks: bool


def parsed(body: bytes, *, model: str, bounds: Bounds) -> ChatRequest:
    """The request in a body.

    Raises:
        Refused: it is no such request, or asks for what is not offered.
    """
    fields = _fields(body)
    _refuse_unknown(fields)
    if (asked := fields.get("model", model)) != model:
        raise Refused(
            f"the model {_shown(asked)} does not exist; this server has {model}",
            status=404, param="model", code="model_not_found",
        )  # fmt: skip
    turns, images = _turns(fields.get("messages"), bounds)
    options = fields.get("stream_options") or {}
    if not isinstance(options, dict):
        raise _wrong("stream_options", options, "an object")
    return ChatRequest(
        turns=turns,
        images=images,
        wanted=_wanted(fields, bounds),
        choices=_whole(fields, "n", 1, least=1, most=bounds.choices),
        stream=_flag(fields, "stream"),
        tells_usage=_flag(options, "include_usage"),
        tells_looks=fields.get("rethink") is not None,
    )


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {str(error)[:200]}", code="invalid_json") from error
    if not isinstance(fields, dict):
        raise Refused(f"the body is {_shown(fields)}, not a JSON object", code="invalid_json")
    return {name: value for name, value in fields.items() if value is not None}


def _refuse_unknown(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name in _NEUTRAL:
            if not any(value == neutral for neutral in _NEUTRAL[name]):
                raise Refused(f"{name} is not offered by this server; leave it out", param=name, code="unsupported")
        elif name not in _TAKEN | _PASSED_OVER:
            raise Refused(f"{_shown(name)} is no field that this server knows; leave it out", param=name[:64])


def _wanted(fields: Mapping[str, Any], bounds: Bounds) -> Wanted:
    limit = "max_completion_tokens" if "max_completion_tokens" in fields else "max_tokens"
    return Wanted(
        sampling=Sampling(
            temperature=_number(fields, "temperature", 1.0, least=0.0, most=2.0),
            top_p=_number(fields, "top_p", 1.0, least=0.0, most=1.0, above=True),
            max_tokens=_whole(fields, limit, bounds.tokens, least=1, most=bounds.tokens),
        ),
        seed=_whole(fields, "seed", secrets.randbits(48), least=-(2**63), most=2**63),
        rethinking=rethinking(fields.get("rethink", "off"), bounds.looks),
        stops=_stops(fields.get("stop", [])),
    )


def rethinking(value: object, most: int) -> Rethinking:
    """What `rethink` asks for: "off", "auto", or most second looks.

    Raises:
        Refused: it is none of these, or too many.
    """
    if isinstance(value, str) and value in ("off", "auto"):
        return AUTO if value == "auto" else Rethinking()
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise _wrong("rethink", value, f'"off", "auto", or a number of second looks from 0 to {most}')
    return Rethinking(looks=value)


def _stops(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    wanted = f"a text, or a list of up to {_MOST_STOPS}, each of 1 to {_LONGEST_STOP} characters"
    if not isinstance(stops, list) or len(stops) > _MOST_STOPS:
        raise _wrong("stop", value, wanted)
    for stop in stops:
        if not isinstance(stop, str) or not 0 < len(stop) <= _LONGEST_STOP:
            raise _wrong("stop", stop, wanted)
    return tuple(stops)


# ---- messages ----


def _turns(messages: object, bounds: Bounds) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    if not isinstance(messages, list) or not 0 < len(messages) <= bounds.turns:
        raise _wrong("messages", messages, f"a list of 1 to {bounds.turns} messages")
    turns, images = [], list[str]()
    for place, message in enumerate(messages):
        param = f"messages[{place}]"
        if not isinstance(message, dict):
            raise _wrong(param, message, "an object with role and content")
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise _wrong(f"{param}.role", role, "system, user or assistant")
        text = _content(message.get("content"), f"{param}.content", images)
        turns.append(Turn(role=cast(Any, _ROLES[role]), text=text))
    if turns[-1].role != "user":
        raise Refused(f"the last message is the {turns[-1].role}'s; it must be the user's", param="messages")
    if len(images) > bounds.images:
        raise Refused(f"there are {len(images)} images, more than the {bounds.images} allowed", param="messages")
    return tuple(turns), tuple(images)


def _content(content: object, param: str, images: list[str]) -> str:
    """Text with a mark for each image, whose addresses are added to `images`."""
    if isinstance(content, str):
        return _text(content, param)
    if not isinstance(content, list) or not content:
        raise _wrong(param, content, "a text or a list of parts")
    texts = []
    for place, part in enumerate(content):
        where = f"{param}[{place}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            texts.append(_text(part.get("text"), f"{where}.text"))
        elif kind == "image_url":
            texts.append(IMAGE_MARK)
            images.append(_address(part.get("image_url"), f"{where}.image_url"))
        else:
            raise _wrong(where, kind, "a part of type text or image_url")
    return "".join(texts)


def _text(text: object, param: str) -> str:
    if not isinstance(text, str):
        raise _wrong(param, text, "a text")
    if IMAGE_MARK in text or _HALF_PAIR.search(text):
        fault = f"holds {IMAGE_MARK}, which stands for a picture" if IMAGE_MARK in text else "holds half a character"
        raise Refused(f"{param} {fault}; take it out", param=param)
    return text


def _address(image: object, param: str) -> str:
    address = image.get("url") if isinstance(image, dict) else image
    if not isinstance(address, str):
        raise _wrong(param, image, 'an object with a "url"')
    return address


# ---- values ----


def _number(
    fields: Mapping[str, Any], name: str, usual: float, *, least: float, most: float, above: bool = False
) -> float:
    value = fields.get(name, usual)
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not least <= value <= most or (above and value == least):
        raise _wrong(name, value, f"a number {'above' if above else 'from'} {least:g} {'up ' * above}to {most:g}")
    return float(value)


def _whole(fields: Mapping[str, Any], name: str, usual: int, *, least: int, most: int) -> int:
    value = fields.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _wrong(name, value, f"a whole number from {least} to {most}")
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise _wrong(name, value, "true or false")
    return value


def _wrong(param: str, value: object, wanted: str) -> Refused:
    return Refused(f"{param} is {_shown(value)}; it must be {wanted}", param=param)


def _shown(value: object) -> str:
    """A value in a message, cut: bodies may be large."""
    if isinstance(value, Sequence | Mapping) and not isinstance(value, str) and len(value) > 8:
        return f"{type(value).__name__} of {len(value)}"
    shown = ascii(value[:60] if isinstance(value, str) else value)
    return shown if len(shown) <= 80 else shown[:80] + "…"
