"""`rethinker data …`: its sub-commands and their options; what they do is in a module each, imported when asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from rethinker.errors import ConfigError

Subparsers = argparse._SubParsersAction  # argparse gives it no public name


def add_data_commands(commands: Subparsers[argparse.ArgumentParser]) -> None:
    """Add `data` to the commands of `rethinker`."""
    data = commands.add_parser("data", help="check, select, describe, preview, rate and compare data files")
    kinds = data.add_subparsers(required=True, metavar="COMMAND")
    _add_check(kinds)
    _add_select(kinds)
    _add_stats(kinds)
    _add_preview(kinds)
    _add_passrate(kinds)
    _add_overlap(kinds)


def _file_parser(
    kinds: Subparsers[argparse.ArgumentParser],
    name: str,
    text: str,
    command: Callable[[argparse.Namespace], int | None],
) -> argparse.ArgumentParser:
    """A command about one data file."""
    parser = kinds.add_parser(name, help=text, description=text)
    parser.add_argument("file", metavar="FILE", help="JSONL, parquet (a file or a folder) or LogicVista's dataset.json")
    parser.add_argument("--images", type=Path, metavar="DIR", help="what image paths are relative to (default: FILE's)")
    parser.add_argument(
        "--columns", nargs="+", default=[], metavar="FIELD=COLUMN", help="where FILE holds what: question=prompt"
    )
    parser.set_defaults(command=command)
    return parser


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, metavar="N", help="threads that read and decode (default: cores)")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the result as JSON too")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="FILE|key=value", help="settings, as for `rethinker train`"
    )


def _add_check(kinds: Subparsers[argparse.ArgumentParser]) -> None:
    parser = _file_parser(kinds, "check", "look at every row: fields, marks, images, answer, length", _check)
    parser.add_argument("--model", metavar="M", help="measure prompts under this model's processor")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of a prompt (default 2048)")
    _add_config(parser)
    parser.add_argument("--to", type=Path, metavar="BAD.jsonl", help="list the bad rows here")
    _add_json(parser)
    _add_workers(parser)


def _add_select(kinds: Subparsers[argparse.ArgumentParser]) -> None:
    parser = _file_parser(kinds, "select", "keep rows that meet every condition, with all their columns", _select)
    parser.add_argument("--to", type=Path, required=True, metavar="OUT", help="the new file, of FILE's format")
    parser.add_argument("--subset", choices=("virl-7b", "virl-32b"), help="the paper's subsets of ViRL39K")
    parser.add_argument("--pass-rate", nargs=3, metavar=("COLUMN", "LOW", "HIGH"), help="LOW ≤ rate ≤ HIGH, known")
    parser.add_argument("--category", nargs="+", default=[], metavar="NAME", help="any of these categories")
    parser.add_argument("--source", nargs="+", default=[], metavar="NAME", help="any of these sources")
    parser.add_argument("--drop-overlap", type=Path, metavar="OVERLAP.json", help="without what `overlap` found")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N rows, drawn at random")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of --limit (default 0)")
    _add_json(parser)


def _add_stats(kinds: Subparsers[argparse.ArgumentParser]) -> None:
    parser = _file_parser(kinds, "stats", "count categories, kinds of answer, image sizes, pass rates", _stats)
    _add_json(parser)
    _add_workers(parser)


def _add_preview(kinds: Subparsers[argparse.ArgumentParser]) -> None:
    parser = _file_parser(kinds, "preview", "draw a page of problems to look through", _preview)
    parser.add_argument("--to", type=Path, default=Path("preview.html"), metavar="PAGE.html")
    parser.add_argument("--rows", type=int, default=60, metavar="N", help="spread over the file (default 60)")
    _add_workers(parser)


def _add_passrate(kinds: Subparsers[argparse.ArgumentParser]) -> None:
    parser = _file_parser(kinds, "passrate", "answer every row several times; a column says how often right", _passrate)
    parser.add_argument("--model", required=True, metavar="M", help="a folder, a hub name, or tiny")
    parser.add_argument("--samples", type=int, default=8, metavar="N", help="answers per row (default 8)")
    parser.add_argument("--to", type=Path, required=True, metavar="OUT", help="the new file, of FILE's format")
    parser.add_argument("--column", default="pass_rate", metavar="NAME", help="the new column (default pass_rate)")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of an answer (default 2048)")
    _add_config(parser)


def _add_overlap(kinds: Subparsers[argparse.ArgumentParser]) -> None:
    parser = _file_parser(kinds, "overlap", "find rows whose picture or question is in an evaluation set", _overlap)
    parser.add_argument("--with", nargs="+", required=True, dest="benchmarks", metavar="BENCHMARK", help="data files")
    parser.add_argument(
        "--with-columns", nargs="+", default=[], metavar="FIELD=COLUMN", help="as --columns, of every BENCHMARK"
    )
    parser.add_argument("--to", type=Path, required=True, metavar="OVERLAP.json", help="what `select` can drop")
    parser.add_argument("--distance", type=int, default=6, metavar="BITS", help="of 64 that may differ (default 6)")
    _add_workers(parser)


def _check(parsed: argparse.Namespace) -> int:
    from rethinker.commands.data_check import check_file

    return check_file(
        parsed.file,
        images=parsed.images,
        columns=parsed.columns,
        model=parsed.model,
        max_tokens=parsed.max_tokens,
        settings=parsed.config,
        to=parsed.to,
        json_to=parsed.json,
        workers=parsed.workers,
    )


def _select(parsed: argparse.Namespace) -> None:
    from rethinker.commands.data_select import select_rows

    select_rows(
        parsed.file,
        to=parsed.to,
        images=parsed.images,
        columns=parsed.columns,
        subset=parsed.subset,
        pass_rate=_bounds(parsed.pass_rate) if parsed.pass_rate else None,
        category=parsed.category,
        source=parsed.source,
        drop_overlap=parsed.drop_overlap,
        limit=parsed.limit,
        seed=parsed.seed,
        json_to=parsed.json,
    )


def _bounds(given: list[str]) -> tuple[str, float, float]:
    """A column and its bounds.

    Raises:
        ConfigError: a bound is no number.
    """
    column, low, high = given
    try:
        return column, float(low), float(high)
    except ValueError as error:
        raise ConfigError(f"--pass-rate {' '.join(given)}: expected COLUMN LOW HIGH, two of them numbers") from error


def _stats(parsed: argparse.Namespace) -> None:
    from rethinker.commands.data_stats import describe_file

    describe_file(
        parsed.file, images=parsed.images, columns=parsed.columns, json_to=parsed.json, workers=parsed.workers
    )


def _preview(parsed: argparse.Namespace) -> None:
    from rethinker.commands.data_preview import preview_file

    preview_file(
        parsed.file,
        to=parsed.to,
        images=parsed.images,
        columns=parsed.columns,
        rows=parsed.rows,
        workers=parsed.workers,
    )


def _passrate(parsed: argparse.Namespace) -> None:
    from rethinker.commands.data_passrate import rate_file

    rate_file(
        parsed.file,
        images=parsed.images,
        columns=parsed.columns,
        model=parsed.model,
        samples=parsed.samples,
        to=parsed.to,
        column=parsed.column,
        max_tokens=parsed.max_tokens,
        settings=parsed.config,
    )


def _overlap(parsed: argparse.Namespace) -> None:
    from rethinker.commands.data_overlap import find_overlap

    find_overlap(
        parsed.file,
        parsed.benchmarks,
        to=parsed.to,
        images=parsed.images,
        columns=parsed.columns,
        with_columns=parsed.with_columns,
        distance=parsed.distance,
        workers=parsed.workers,
    )
