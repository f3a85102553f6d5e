"""Numbers as people write them: separators, fractions, percents, powers of ten, units. Exact arithmetic throughout.

Left out: expressions that must be evaluated (√2, 2π, sums); those are answers of kind "latex".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

RELATIVE_TOLERANCE = Fraction(1, 1000)
"""Of the wanted value; the digits a figure can be read to. Integers are compared exactly."""
ABSOLUTE_TOLERANCE = Fraction(1, 10**6)
"""For wanted values near zero."""

_RELATION = re.compile(r"(?<![<>!])=|≈|\\approx(?![A-Za-z])")
_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_POWER_OF_TEN = re.compile(r"\s*(?:\\times|\\cdot|×|·|\*)\s*10\s*\^\s*\{?\s*([-+]?\d+)\s*\}?")
_DEGREES = re.compile(r"\^?\s*\{?\s*\\(?:circ|degrees?)(?![A-Za-z])\s*\}?")

_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d++)"
_QUANTITY = re.compile(
    rf"""(?P<sign>[-+]?)\s*+[$€£¥]?\s*+
    (?: (?:(?P<whole>\d++)\s++)? (?P<top>{_WHOLE}) \s*+ / \s*+ (?P<bottom>{_WHOLE})
      | (?P<decimal> {_WHOLE}(?:\.\d*+)? | \.\d++ ) (?:[eE](?P<exponent>[-+]?\d{{1,3}})(?!\d))? )
    \s*+ (?P<percent>%|percent\b)? \s*+ (?P<unit>.*+)""",
    re.VERBOSE | re.DOTALL,
)
_UNIT = re.compile(
    r"""(?:[°′″'"]\s?[CF]? | [^\W\d_]++\.?)
    (?: (?:\^\{?-?[123]\}?|[23²³](?!\d)) | [ ]?[/·⋅][ ]?[^\W\d_]++ | [ ][^\W\d_]++\.? ){0,5}+""",
    re.VERBOSE,
)
_WORD = re.compile(r"[^\W\d_]+")
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_LETTER_UNITS = frozenset("msghlLAVNKJWCFT")
_NOT_UNITS = frozenset({"and", "or", "to", "plus", "minus", "times", "over", "pi", "sqrt", "not", "but", "then"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number as it was stated.

    Attributes:
        value: What stands before the percent sign, or the number itself.
        percent: Whether a percent sign stands behind it.
    """

    value: Fraction
    percent: bool = False


def read_number(text: str) -> Number | None:
    """Read a number whose LaTeX typography was already taken off (`extract.plain`); None when it is not one.

    Reads the right-hand side of an equation, ignores a unit behind the number, and refuses anything it would have to
    guess at (`5 or 6`, `1,23`, `5x`).
    """
    text = _RELATION.split(text)[-1].strip()
    text = _FRACTION.sub(lambda m: f" {m[1] or m[2] or ''}/{m[3] or m[4] or ''}", text).strip()
    text = _DEGREES.sub("°", _POWER_OF_TEN.sub(r"e\1", text))
    match = _QUANTITY.fullmatch(text)
    if match is None or (scale := _scale(match["unit"].rstrip(" .,"))) is None:
        return None
    value = _value(match)
    if value is None:
        return None
    return Number(value=value * scale * (-1 if match["sign"] == "-" else 1), percent=match["percent"] is not None)


def same_number(wanted: Number, given: Number) -> bool:
    """Whether two numbers agree: exactly if the wanted one is an integer, within the tolerances otherwise.

    Where only one of them has a percent sign, 45 % agrees with both 45 and 0.45: the question, which rules do not
    read, has said which was meant.
    """
    exact = wanted.value.denominator == 1
    if _close(wanted.value, given.value, exact=exact):
        return True
    if wanted.percent == given.percent:
        return False
    scaled = [number.value / 100 if number.percent else number.value for number in (wanted, given)]
    return _close(scaled[0], scaled[1], exact=exact)


def _close(wanted: Fraction, given: Fraction, *, exact: bool) -> bool:
    if exact:
        return wanted == given
    return abs(wanted - given) <= max(ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE * abs(wanted))


def _value(match: re.Match[str]) -> Fraction | None:
    if match["decimal"]:
        return Fraction(_digits(match["decimal"])) * Fraction(10) ** int(match["exponent"] or 0)
    bottom = int(_digits(match["bottom"]))
    return int(match["whole"] or 0) + Fraction(int(_digits(match["top"])), bottom) if bottom else None


def _digits(text: str) -> str:
    return text.replace(",", "").removesuffix(".")


def _scale(unit: str) -> int | None:
    """What a unit multiplies by: 1 for `cm²`, 10⁶ for `million people`; None for what is no unit."""
    if not unit:
        return 1
    words = _WORD.findall(unit)
    if not _UNIT.fullmatch(unit) or any(word.lower() in _NOT_UNITS for word in words):
        return None
    if any(len(word) == 1 and word not in _LETTER_UNITS for word in words):
        return None
    return _SCALES.get(words[0].lower(), 1) if words else 1
