"""Scorer environments: folders of packages that official rules import and that cannot live beside ours.

latex2sympy2 1.9.1 needs antlr 4.7.2, math-verify needs 4.9.3 or later. Only worker processes have such a folder on
their path; versions are checked first, since another one gives other verdicts without a word.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from rethinker.errors import RethinkerError


@dataclass(frozen=True, slots=True)
class Scorer:
    """One environment.

    Attributes:
        packages: `name==version`, all that is installed there: nothing is left to pip's choice.
        rules: Whose rules need it, for messages.
    """

    packages: tuple[str, ...]
    rules: str


SCORERS = {
    "latex2sympy": Scorer(
        packages=(
            "latex2sympy2==1.9.1",
            "antlr4-python3-runtime==4.7.2",
            "sympy==1.14.0",
            "mpmath==1.3.0",
            "word2number==1.1",
        ),
        rules="MathVision's and EMMA's rules",
    ),
}
"""Name → environment."""


def scorer_folder(name: str) -> Path:
    """Where an environment lies: under `RETHINKER_SCORERS`, else in the virtual environment that runs this."""
    chosen = os.environ.get("RETHINKER_SCORERS")
    return (Path(chosen) if chosen else Path(sys.prefix) / "scorers") / name


def missing(name: str) -> list[str]:
    """What is not as it should be in an environment; empty when all versions are right."""
    found = {
        distribution.name.lower(): distribution.version
        for distribution in distributions(path=[str(scorer_folder(name))])
    }
    wanted = dict(package.split("==") for package in SCORERS[name].packages)
    return [
        f"{package} is {found.get(package.lower(), 'missing')}, {version} is needed"
        for package, version in wanted.items()
        if found.get(package.lower()) != version
    ]


def checked_folder(name: str) -> Path:
    """The folder of an environment.

    Raises:
        RethinkerError: it is missing or holds other versions.
    """
    folder = scorer_folder(name)
    if wrong := missing(name):
        raise RethinkerError(
            f"{SCORERS[name].rules} need packages of their own in {folder}: {'; '.join(wrong)}; "
            f"run `python scripts/make_scorers.py {name}`"
        )
    return folder
