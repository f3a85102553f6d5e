"""The value of an arithmetic expression. The official metric for single numbers hands a model's text to `eval`.

What is evaluated here are numbers, lists and tuples, operators, comparisons, and functions of `math`; whatever else
`eval` would do is refused, and the metric goes on as it does after an error, by comparing texts.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

Value = Any
"""A number, a text, or a list or tuple of such."""

MAX_BITS = 100_000
"""Of a whole number on the way; an answer has none so long."""

_BINARY: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_UNARY: dict[type[ast.unaryop], Callable[[Value], Value]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_OF_MATH = frozenset(
    ("sqrt", "exp", "log", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "floor", "ceil")
)
_FUNCTIONS: dict[str, Callable[..., Value]] = {
    **{function.__name__: function for function in (abs, float, int, len, max, min, round, sum)},
    **{f"math.{name}": function for name, function in vars(math).items() if name in _OF_MATH},
}
_NAMES: dict[str, Value] = {"E": 2.718, "math.pi": math.pi, "math.e": math.e}
"""Names that the official module leaves in `eval`'s sight."""


class NotArithmeticError(ValueError):
    """The expression is not arithmetic, or too large."""


def calculate(expression: str) -> Value:
    """The value of an expression.

    Raises:
        NotArithmeticError: it has none here.
    """
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except NotArithmeticError:
        raise
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise NotArithmeticError(f"{type(error).__name__}: {error}") from error


def _value(node: ast.expr) -> Value:
    match node:
        case ast.Constant(value=int() | float() | complex() | str() as value):
            return value
        case ast.Tuple(elts=parts):
            return tuple(map(_value, parts))
        case ast.List(elts=parts):
            return list(map(_value, parts))
        case ast.UnaryOp(op=sign, operand=inner):
            return _UNARY[type(sign)](_number(inner))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return _binary(sign, _number(left), _number(right))
        case ast.Compare(left=first, ops=[sign], comparators=[second]) if type(sign) in _COMPARE:
            return _COMPARE[type(sign)](_number(first), _number(second))
        case ast.Name() | ast.Attribute() if (name := ast.unparse(node)) in _NAMES:
            return _NAMES[name]
        case ast.Call(func=function, args=arguments, keywords=[]) if (name := ast.unparse(function)) in _FUNCTIONS:
            return _FUNCTIONS[name](*map(_value, arguments))
    raise NotArithmeticError(f"{ast.unparse(node)[:80]!r} is no arithmetic")


def _number(node: ast.expr) -> Value:
    value = _value(node)
    if not isinstance(value, int | float | complex):
        raise NotArithmeticError(f"{value!r:.80} is no number")
    return value


def _binary(sign: ast.operator, left: Value, right: Value) -> Value:
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * abs(right) if isinstance(sign, ast.Pow) else left.bit_length() + right.bit_length()
        if bits > MAX_BITS:
            raise NotArithmeticError(f"a whole number of {bits} bits")
    return _BINARY[type(sign)](left, right)
