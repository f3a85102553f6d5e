"""Equivalence of LaTeX answers, by math-verify. A module of its own, because importing it costs time and memory.

math-verify's own timeouts are off: they need signals in the main thread, and the pool has a hard limit. Outside the
pool a hostile expression (10^{10^{10}}) may run for ever.
"""

from __future__ import annotations

import logging
from typing import Any

import math_verify

_TARGET = [math_verify.LatexExtractionConfig()]

# It warns once that its timeouts are off; they are off on purpose.
logging.getLogger("math_verify").setLevel(logging.ERROR)


def read_latex(text: str) -> list[Any] | None:
    """Parse the whole of an answer as one LaTeX expression; None when it cannot be parsed."""
    formula = " ".join(text.replace("$", " ").replace("**", "^").split())
    parsed = math_verify.parse(f"${formula}$", _TARGET, fallback_mode="no_fallback", parsing_timeout=None)
    return parsed or None


def same_latex(wanted: list[Any], given: list[Any]) -> bool:
    """Whether two parsed answers are equivalent."""
    return bool(math_verify.verify(wanted, given, timeout_seconds=None, raise_on_error=True))
