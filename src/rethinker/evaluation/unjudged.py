"""The answer of a response by rules alone, where the official protocol has a language model extract it.

Ours, not the authors': it is used when no judge is given, and every result that rests on it says so. It commits to what a
response marks as its answer before it takes the last thing of the right kind, so it errs on the side of no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rethinker.rewards.extract import final_answer, plain

STATED = re.compile(r"\b(?:answer|option|choice)(?: letter)?(?: is|:)[ :]*(.*)", re.IGNORECASE)
LEADING = re.compile(r"\W*([A-Z])(?![a-zA-Z0-9])")
BRACKETED = re.compile(r"\(([A-Z])\)")
NUMBER = re.compile(r"-?(?:\d[\d,]*+(?:\.\d++)?|\.\d++)")
LIST = re.compile(r"\[[^\[\]]*\]")


def letter(response: str, count: int) -> str | None:
    """The letter of one of that many options, or None."""
    given = [chr(ord("A") + place) for place in range(count)]
    for text in _places(response):
        leading = LEADING.match(text)
        named = [leading[1]] if leading else BRACKETED.findall(text)[-1:]
        if named and named[0] in given:
            return named[0]
    return None


def number(response: str) -> str | None:
    """The last number of the first place that has one, without thousands separators."""
    return next((found[-1].replace(",", "") for text in _places(response) if (found := NUMBER.findall(text))), None)


def listed(response: str) -> str | None:
    """The last list in square brackets of the first place that has one."""
    return next((found[-1] for text in _places(response) if (found := LIST.findall(text))), None)


def marked(response: str) -> str | None:
    """What the response marks as its answer, or says that it is; else the whole of it when it is one line."""
    *places, whole = _places(response)
    return next(iter(places), None) or (whole.strip() if whole.strip() and "\n" not in whole.strip() else None)


def _places(response: str) -> Iterator[str]:
    """Where an answer may stand, the most certain first: the marked one, behind "the answer is", anywhere."""
    if (final := final_answer(response)) is not None:
        yield plain(final)
    if stated := STATED.findall(response):
        yield stated[-1]
    yield response
