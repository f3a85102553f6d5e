"""The arguments of `rethinker compare` and `rethinker analyse`."""

from __future__ import annotations

import argparse
from pathlib import Path

RESULT = "a folder of `rethinker eval`, one benchmark's folder in it, or a file of `rethinker score --verdicts`"


def add_compare_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `compare` and `analyse` to the commands."""
    compare = commands.add_parser("compare", help="models side by side, on the same questions, beside the paper")
    compare.add_argument(
        "results", nargs="+", type=Path, metavar="RESULT", help=f"{RESULT}; the first is compared with"
    )
    compare.add_argument("--breakdown", metavar="NAME", help="compare its cells too (subject, level, …)")
    compare.add_argument("--flips", action="store_true", help="show the ids of the questions that flipped")
    compare.add_argument("--json", type=Path, metavar="OUT", help="write everything, every id")
    compare.add_argument("--seed", type=int, default=0, metavar="S", help="of the bootstrap (default 0)")
    compare.set_defaults(command=_compare)

    analyse = commands.add_parser("analyse", help="what a second thought is worth at test time: a table and a picture")
    for name, needed, text in (
        ("base", True, "without a second thought (--rethink off)"),
        ("forced", True, "the same model, a second thought on every answer (--rethink forced)"),
        ("oracle", False, "only where the first was wrong (--rethink oracle)"),
        ("trained", False, "the model trained to rethink by itself"),
        ("samples", False, "several samples of the base model (--samples K)"),
    ):
        analyse.add_argument(f"--{name}", type=Path, required=needed, metavar="RESULT", help=text)
    analyse.add_argument("--to", type=Path, required=True, metavar="DIR", help="where analysis.json, .md and .png go")
    analyse.add_argument("--seed", type=int, default=0, metavar="S", help="of the bootstrap (default 0)")
    analyse.set_defaults(command=_analyse)


def _compare(parsed: argparse.Namespace) -> None:
    from rethinker.commands.compare import compare

    compare(parsed.results, breakdown=parsed.breakdown, flips=parsed.flips, json_to=parsed.json, seed=parsed.seed)


def _analyse(parsed: argparse.Namespace) -> None:
    from rethinker.commands.analyse import analyse

    analyse(
        parsed.base,
        parsed.forced,
        oracle=parsed.oracle,
        trained=parsed.trained,
        samples=parsed.samples,
        to=parsed.to,
        seed=parsed.seed,
    )
