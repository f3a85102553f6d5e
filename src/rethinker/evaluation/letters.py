"""The letter of the option that a response means, as MMMU's family of benchmarks reads it. Pure functions of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

EDGES = ",.!?;:'"
"""Taken off both ends of a response, one sign after the other in this order."""

WORDS = 5
"""Only longer responses are searched for the text of an option."""


def letters(count: int) -> tuple[str, ...]:
    """A, B, C, … for that many options."""
    return tuple(chr(ord("A") + place) for place in range(count))


def padded(response: str) -> str:
    """A response without the punctuation at its ends, between spaces."""
    for sign in EDGES:
        response = response.strip(sign)
    return f" {response} "


def bracketed(response: str, given: Sequence[str]) -> str | None:
    """The letter that stands last in brackets, as in (B)."""
    return _last(response, [letter for letter in given if f"({letter})" in response], lambda letter: f"({letter})")


def spaced(response: str, candidates: Sequence[str]) -> str | None:
    """Of several letters the one that stands last between spaces; the first where none does."""
    return _last(response, candidates, lambda letter: f" {letter} ")


def quoted(response: str, options: Sequence[str]) -> str | None:
    """The letter of the option whose text occurs last in a response of more than five words."""
    if len(response.split()) <= WORDS:
        return None
    text = response.lower()
    meant = dict(zip(letters(len(options)), (option.lower() for option in options), strict=True))
    return _last(text, [letter for letter, option in meant.items() if option in text], meant.__getitem__)


def _last(text: str, candidates: Sequence[str], shown: Callable[[str], str]) -> str | None:
    """The candidate that is shown last; the first of several that are nowhere; None where there is no candidate."""
    return max(candidates, key=lambda letter: text.rfind(shown(letter)), default=None)
