"""How many signs must be put in, taken out or replaced to make one text of another.

Myers' bit-parallel algorithm in Hyyrö's form (2003): a column of the table is two integers with a bit per sign of the
longer text, so that a response of 100 kB against an option of ten signs takes ten steps.
"""

from __future__ import annotations

from collections.abc import Sequence


def distance(one: str, other: str) -> int:
    """The edit distance of two texts."""
    long, short = sorted((one, other), key=len, reverse=True)
    if not short:
        return len(long)
    places = {sign: _places(sign, long) for sign in set(short)}
    every = (1 << len(long)) - 1
    last = 1 << (len(long) - 1)
    up, down, found = every, 0, len(long)
    for sign in short:
        equal = places[sign]
        vertical = equal | down
        horizontal = (((equal & up) + up) ^ up) | equal
        right, left = down | (every & ~(horizontal | up)), up & horizontal
        found += bool(right & last) - bool(left & last)
        right, left = (right << 1) | 1, left << 1
        up, down = every & (left | ~(vertical | right)), every & right & vertical
    return found


def nearest(text: str, options: Sequence[str]) -> str:
    """The option at the smallest distance, the first of several."""
    return min(options, key=lambda option: distance(text, option))


def _places(sign: str, text: str) -> int:
    """Bit i is set where `text[i]` is the sign."""
    return int(text[::-1].translate(_Zeros({ord(sign): "1"})), 2)


class _Zeros(dict[int, str]):
    """Every sign but those given is a zero."""

    def __missing__(self, sign: int) -> str:
        return self.setdefault(sign, "0")
