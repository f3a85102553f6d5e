"""The arguments of `rethinker score`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rethinker.errors import ConfigError

if TYPE_CHECKING:
    from rethinker.evaluation.judge import Judge


def add_score_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `score` to the commands."""
    score = commands.add_parser("score", help="score a model's predictions as a benchmark's authors do")
    score.add_argument("benchmark", metavar="BENCHMARK", help="mathvision, emma, …; a wrong name lists them")
    score.add_argument(
        "--predictions",
        type=Path,
        required=True,
        metavar="JSONL",
        help='one {"id": …, "response": …} a line; .gz is unpacked',
    )
    score.add_argument(
        "--problems",
        type=Path,
        required=True,
        metavar="FILE",
        help="the benchmark's own file (.json, .jsonl, either with .gz, .parquet) or a folder of shards",
    )
    score.add_argument("--setting", default="", help="of a benchmark that has several (mmmu_pro: standard10, …)")
    score.add_argument(
        "--run-code", action="store_true", help="megabench: run the programs of its programming tasks, in a sandbox"
    )
    score.add_argument(
        "--protocol",
        choices=("official", "boxed"),
        default="official",
        help="the authors' rule (default), or the uniform one for boxed answers",
    )
    score.add_argument(
        "--extracted", action="store_true", help="responses are answers already: compare them as they are"
    )
    score.add_argument(
        "--judge",
        metavar="URL",
        help="OpenAI-compatible endpoint of the language model that a protocol asks (mathvista, mathverse, "
        "megabench); its key is taken from RETHINKER_JUDGE_KEY",
    )
    score.add_argument("--judge-model", metavar="NAME", help="the judge's model")
    score.add_argument(
        "--judge-cache",
        type=Path,
        metavar="DIR",
        help="where its answers are kept (default: judge/ beside the predictions)",
    )
    score.add_argument("--json", type=Path, metavar="OUT", help="write accuracy, counts and every breakdown")
    score.add_argument(
        "--verdicts", type=Path, metavar="JSONL", help="write every row's verdict, in the problems' order"
    )
    score.add_argument(
        "--allow-partial", action="store_true", help="exit 0 in spite of missing, unknown, duplicate or malformed rows"
    )
    score.add_argument("--explain", metavar="ID", help="say of one prediction what decided, and score no other")
    score.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one per core)")
    score.set_defaults(command=_score)


def _score(parsed: argparse.Namespace) -> int:
    from rethinker.commands.score import explain, score
    from rethinker.evaluation.benchmarks.catalogue import Rule

    setting = ",".join(filter(None, (parsed.setting, "run-code" if parsed.run_code else "")))
    rule = Rule(name=parsed.benchmark, setting=setting, protocol=parsed.protocol, extracted=parsed.extracted)
    judge = _judge(parsed)
    if parsed.explain is not None:
        return explain(rule, parsed.predictions, parsed.problems, parsed.explain, judge)
    return score(
        rule,
        parsed.predictions,
        parsed.problems,
        json_to=parsed.json,
        verdicts_to=parsed.verdicts,
        allow_partial=parsed.allow_partial,
        workers=parsed.workers,
        judge=judge,
    )


def _judge(parsed: argparse.Namespace) -> Judge | None:
    """The judge that is named.

    Raises:
        ConfigError: it lacks its model or its address, or cannot be asked.
    """
    from rethinker.evaluation.judge import open_judge

    if (parsed.judge is None) != (parsed.judge_model is None):
        raise ConfigError("--judge URL and --judge-model NAME belong together; give both or neither")
    if parsed.judge is None:
        return None
    cache = parsed.judge_cache or parsed.predictions.parent / "judge"
    return open_judge(parsed.judge, parsed.judge_model, cache=cache)
