"""Make the scorer environments: packages that official rules import and that cannot be installed beside ours.

Each is a folder of its own, put first on the path of the worker processes that score, and of nothing else. What is
installed there already is left alone. `python scripts/make_scorers.py [NAME…]`, part of the set-up for tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rethinker.evaluation.scorers import SCORERS, Scorer, missing, scorer_folder

LOCKS = Path(__file__).parents[1] / "locks"


def main() -> None:
    """Make those named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCORERS)}; default all")
    names = parser.parse_args().names or list(SCORERS)
    if unknown := [name for name in names if name not in SCORERS]:
        parser.error(f"there is no scorer environment {', '.join(unknown)}")
    for name in names:
        if missing(name):
            make(name, SCORERS[name])


def make(name: str, scorer: Scorer) -> None:
    """Install one from scratch, aside, and put it in place when it is whole."""
    folder = scorer_folder(name)
    aside = folder.with_name(f"{name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # Some come as sources: built with the setuptools that is installed, since pip would fetch one without a hash.
    known = ["--require-hashes", "--no-build-isolation", "-r", str(LOCKS / f"{name}.txt")]
    subprocess.run([*pip, "--target", str(aside), *known], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    fetch_corpora(name, scorer)
    if wrong := missing(name):
        sys.exit(f"{folder} is not what was asked for: {'; '.join(wrong)}")


def fetch_corpora(name: str, scorer: Scorer) -> None:
    """Download what NLTK reads; without it the environment works, and scoring names the tasks that it leaves out."""
    folder = scorer_folder(name)
    path = {**os.environ, "PYTHONPATH": str(folder)}
    for corpus in scorer.corpora:
        command = [sys.executable, "-m", "nltk.downloader", "--quiet", "-e", "-d", str(folder / "nltk_data"), corpus]
        if subprocess.run(command, env=path, check=False, capture_output=True).returncode:
            sys.stderr.write(f"NLTK's {corpus} could not be downloaded: some tasks of {name} will not be scored\n")


if __name__ == "__main__":
    main()
