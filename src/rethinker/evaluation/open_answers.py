"""MMMU's rule for questions without options: what a response states, and whether the gold is among it."""

from __future__ import annotations

import re
from collections.abc import Iterator

MARKS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
"""What follows the last one of a line may be the answer."""

LAST_MARKS = (*MARKS, "=")
"""Those of the last line, which may be an equation."""

NOTHING = frozenset(":,.!?;'")

GROUPED = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
SCIENTIFIC = re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d+")
PLAIN = re.compile(r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d+)(?![,\d])")
"""Numbers as the official patterns find them; possessive and begun only where a run of digits begins, which finds the
same and stays linear in 100 kB of digits."""

Stated = str | float


def stated(response: str) -> list[Stated]:
    """Everything a response states: its key phrases and the numbers in them."""
    phrases = list(_phrases(response))
    texts = dict.fromkeys([*phrases, *_numbers(phrases)])
    return [meant for text in texts for meant in normalised(text)]


def normalised(text: str) -> list[Stated]:
    """What a text means: a number to two decimals, else itself in lower case; a single sign with a space beside it."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def agrees(given: Stated, gold: Stated) -> bool:
    """A text that holds the gold one, or the same number."""
    if isinstance(given, str):
        return isinstance(gold, str) and gold in given
    return given == gold


def _phrases(response: str) -> Iterator[str]:
    """The end of each line behind its last mark; the whole response where no line has one."""
    response = response.strip().strip(".").lower()
    lines = response.split("\n")
    found = False
    for number, line in enumerate(lines, start=1):
        phrase = _shortest(line, LAST_MARKS if number == len(lines) else MARKS)
        if phrase and phrase not in NOTHING:
            found = True
            yield phrase
    if not found:
        yield response


def _shortest(line: str, marks: tuple[str, ...]) -> str:
    """The shortest of what stands behind the marks; an empty end gives way to that of a later mark."""
    shortest = ""
    for mark in marks:
        if mark in line:
            end = line.rpartition(mark)[2].strip()
            if not shortest or len(end) < len(shortest):
                shortest = end
    return shortest


def _numbers(phrases: list[str]) -> Iterator[str]:
    for phrase in phrases:
        for pattern in (GROUPED, SCIENTIFIC, PLAIN):
            yield from pattern.findall(phrase)
