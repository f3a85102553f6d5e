"""What a LaTeX answer is worth as a number, by latex2sympy 1.9.1, as MathVision's and EMMA's rules read it.

Imported by workers alone, since it needs the scorer environment `latex2sympy`. What an expression is worth is kept, so
that golds and usual answers are read once. latex2sympy remembers assignments ("x = 3") and differentials from one call
to the next, which would make a verdict depend on the rows before it; here every call starts anew.
"""

from __future__ import annotations

import ast
import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

import latex2sympy2
import sympy

KEPT = 20_000
"""Values remembered per worker."""

LONGEST_KEPT = 200
"""Characters; a longer answer hardly comes twice."""

_PLAIN = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_LETTER = re.compile("[a-z]")
_NAMES = {name: value for name, value in vars(math).items() if not name.startswith("_")}
_ARITHMETIC = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.operator,
    ast.unaryop,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.Call,
    ast.Compare,
    ast.cmpop,
    ast.BoolOp,
    ast.boolop,
)


def _unsolved(*equation: Any) -> Any:
    """Stands for sympy's `solve`, which latex2sympy calls for an equation whose left side is no symbol.

    An equation has no value, solved or not; not to solve it changes no verdict and spares seconds.
    """
    raise ValueError(f"{equation} is an equation and has no value")


sympy.solve = _unsolved


def expression(text: str) -> Any:
    """LaTeX as a sympy expression. Raises whatever latex2sympy and sympy raise."""
    latex2sympy2.set_variances({})
    return latex2sympy2.latex2sympy(text)


def two_decimals(text: str) -> int | float | None:
    """MathVision's value: the expression's printed form, computed by Python and rounded; None where any step fails.

    The printed form may use Python's arithmetic and its `math` functions and nothing else. The official code evaluates
    whatever was printed, so that an answer could run a program.
    """
    if _LETTER.fullmatch(text):
        return None
    if _PLAIN.fullmatch(text):
        number = Fraction(text)
        return number.numerator if number.denominator == 1 else round(number.numerator / number.denominator, 2)
    return _kept_decimals(text) if len(text) <= LONGEST_KEPT else _decimals(text)


def evaluated(text: str) -> tuple[Any, float] | None:
    """EMMA's value: the expression and its floating-point value; None where either fails."""
    if _LETTER.fullmatch(text) and text != "e":  # Euler's number
        return None
    return _kept_evaluated(text) if len(text) <= LONGEST_KEPT else _evaluated(text)


def identical(one: Any, other: Any) -> bool:
    """Whether the difference of two expressions simplifies to 0."""
    try:
        return bool(sympy.simplify(one - other) == 0)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (what cannot be simplified is not shown to be the same)
        return False


def _decimals(text: str) -> int | float | None:
    try:
        return _rounded(str(expression(text)))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (latex2sympy raises plain Exception; what cannot be read has no value)
        return None


def _rounded(printed: str) -> int | float | None:
    tree = ast.parse(printed, mode="eval")
    if not all(isinstance(node, _ARITHMETIC) for node in ast.walk(tree)):
        return None
    value = round(eval(compile(tree, "answer", "eval"), {"__builtins__": {}}, _NAMES), 2)
    return value if isinstance(value, int | float) else None


def _evaluated(text: str) -> tuple[Any, float] | None:
    try:
        read = expression(text)
        return read, float(read.evalf())
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (as above)
        return None


_kept_decimals = lru_cache(maxsize=KEPT)(_decimals)
_kept_evaluated = lru_cache(maxsize=KEPT)(_evaluated)
