"""Where latex2sympy is spared it would have said the same; run with its packages on the path, as workers are."""

import os
import subprocess
import sys

from rethinker.evaluation.scorers import checked_folder

PROGRAM = r"""
import random, string
from rethinker.evaluation import latex_values as values

assert all(values._decimals(letter) is None for letter in string.ascii_lowercase)
assert all((values._evaluated(letter) is None) == (letter != "e") for letter in string.ascii_lowercase)
assert values.evaluated("e")[1] == values._evaluated("e")[1]

draw = random.Random(0)
numbers = ["0", "-0", "007", "2.50", "2.0", "1.005", "-1.115", "0.125", "999999999999", "0.000000000001", "-12.5"]
numbers += [f"{draw.randrange(-10**8, 10**8) // 10 ** draw.randrange(8)}.{draw.randrange(10**6)}" for _ in range(40)]
for number in numbers:
    ours, theirs = values.two_decimals(number), values._decimals(number)
    assert (ours, type(ours)) == (theirs, type(theirs)), (number, ours, theirs)

# What one call assigns, or differentiates by, is not there in the next.
values.expression("x = 3"), values.expression(r"\int x dx")
assert values.two_decimals("x") is None and str(values.expression("x + 1")) == "x + 1"
assert values.two_decimals(r"\tan x = 2x") is None
assert values.two_decimals(r"\frac{1}{3}") == 0.33 and values.two_decimals(r"2\pi") == 6.28
assert values._rounded("().__class__") is None and values._rounded("[1][0]") is None
print("same")
"""


def test_shortcuts_change_no_value_and_nothing_is_remembered() -> None:
    path = os.pathsep.join([str(checked_folder("latex2sympy")), *(entry for entry in sys.path if entry)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout == "same\n", done.stderr
