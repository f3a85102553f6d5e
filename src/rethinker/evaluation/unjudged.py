"""The answer of a response by rules alone, where the official protocol has a language model extract it.

Ours, not the authors': it is used when no judge is given, and every result that rests on it says so. What a response
marks as its answer goes before what it says last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rethinker.evaluation.letters import letters
from rethinker.rewards.extract import final_answer, plain

LONGEST = 1000
"""Characters; a longer answer is none."""

STATED = re.compile(r"\b(?:answer|option|choice)(?: letter)?(?: is|:)[ :]*(.*)", re.IGNORECASE)
LEADING = re.compile(r"\W*([A-Z])(?![a-zA-Z0-9])")
"""A letter at the start of what is known to be an answer."""
ALONE = re.compile(r"\W*([A-Z])(?:[).:*]|\s*$)")
"""One at the start of a whole response, where it may be a word."""
BRACKETED = re.compile(r"\(([A-Z])\)")
NUMBER = re.compile(r"-?(?:\d[\d,]*+(?:\.\d++)?|\.\d++)")
LIST = re.compile(r"\[[^\[\]]*\]")


def letter(response: str, count: int) -> str | None:
    """The letter of one of that many options, or None."""
    given = letters(count)
    for text in (*_places(response), response):
        leading = (ALONE if text is response else LEADING).match(text)
        named = [leading[1]] if leading else BRACKETED.findall(text)[-1:]
        if named and named[0] in given:
            return named[0]
    return None


def number(response: str) -> str | None:
    """The last number of the first place that has one, without thousands separators."""
    found = _last(NUMBER, response)
    return None if found is None else found.replace(",", "")


def listed(response: str) -> str | None:
    """The last list in square brackets of the first place that has one."""
    return _last(LIST, response)


def marked(response: str) -> str | None:
    """What the response marks as its answer, or says that it is; else the whole of it when it is one line."""
    whole = [response.strip()] if "\n" not in response.strip() else []
    return next((text for text in (*_places(response), *whole) if 0 < len(text) <= LONGEST), None)


def _last(pattern: re.Pattern[str], response: str) -> str | None:
    named = (found[-1] for text in (*_places(response), response) if (found := pattern.findall(text)))
    return next((answer for answer in named if len(answer) <= LONGEST), None)


def _places(response: str) -> Iterator[str]:
    """Where a response says what its answer is, the most certain first."""
    if (final := final_answer(response)) is not None:
        yield plain(final)
    if stated := STATED.findall(response):
        yield stated[-1]
