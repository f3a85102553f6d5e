"""The arguments of `rethinker eval`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rethinker.errors import ConfigError

if TYPE_CHECKING:
    from rethinker.evaluation.judge import Judge

EXAMPLE = """\
DIR holds a folder per benchmark, as downloaded from the hub (docs/evaluation.md). The same command again goes on where
it was stopped, and asks no answered question again.

  rethinker eval my-vlm --benchmarks mathvista,mathvision,mmmu --data benchmarks
  rethinker eval my-vlm --benchmarks mmmu_pro --setting vision --protocol boxed --data benchmarks
  rethinker eval my-vlm --benchmarks mathvision --setting testmini --data benchmarks --samples 8 --limit 100
"""


def add_eval_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `eval` to the commands."""
    parser = commands.add_parser(
        "eval",
        help="ask a model the questions of benchmarks, and score its answers",
        description="Ask a model the questions of benchmarks, and score its answers as their authors do.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a folder, a hub name, or tiny")
    parser.add_argument("--benchmarks", required=True, metavar="A,B", help="mathvista, …; a wrong name lists them")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds a folder per benchmark")
    parser.add_argument(
        "--setting",
        nargs="+",
        default=[],
        metavar="[BENCHMARK=]SETTING",
        help="of a benchmark that has several: mmmu_pro=vision mathverse=text_only",
    )
    parser.add_argument(
        "--protocol",
        choices=("official", "boxed"),
        default="official",
        help="each benchmark's own prompt and rule (default), or one of each for all, as VL-Rethinker evaluates",
    )
    parser.add_argument(
        "--style", default="", metavar="NAME", help="which of its prompts (cot, direct; default: its first)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="ask the first N questions of each benchmark")
    _add_answering(parser)
    _add_scoring(parser)
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where all goes (default evals/<MODEL's name>)")
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="FILE|key=value", help="settings of model and engine, as for `train`"
    )
    parser.set_defaults(command=_evaluate)


def _add_answering(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("answering")
    group.add_argument("--samples", type=int, default=1, metavar="K", help="answers per question (default 1)")
    group.add_argument(
        "--temperature", type=float, metavar="T", help="0 is greedy (default: 0 for one sample, 1 for several)"
    )
    group.add_argument("--top-p", type=float, default=1.0, metavar="P", help="nucleus sampling (default 1: all)")
    group.add_argument("--max-tokens", type=int, default=8192, metavar="N", help="most tokens of a look (default 8192)")
    group.add_argument(
        "--max-prompt-tokens",
        type=int,
        default=16_384,
        metavar="N",
        help="a longer question is not asked (default 16384)",
    )
    group.add_argument(
        "--rethink",
        choices=("off", "forced", "oracle"),
        default="off",
        help="make every answer look twice; oracle keeps the first where it was right, an upper bound",
    )
    group.add_argument("--engine", choices=("torch", "vllm"), default="torch", help="what generates (default torch)")
    group.add_argument("--seed", type=int, default=0, metavar="S", help="keys every draw (default 0)")


def _add_scoring(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("scoring")
    group.add_argument(
        "--judge",
        metavar="URL",
        help="OpenAI-compatible endpoint of the language model that a protocol asks (mathvista, mathverse, "
        "megabench); its key is taken from RETHINKER_JUDGE_KEY",
    )
    group.add_argument("--judge-model", metavar="NAME", help="the judge's model")
    group.add_argument(
        "--run-code", action="store_true", help="megabench: run the programs of its programming tasks, in a sandbox"
    )
    group.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one per core)")


def _evaluate(parsed: argparse.Namespace) -> int:
    from rethinker.commands.evaluate import Wanted, evaluate_model

    names = list(dict.fromkeys(name for name in parsed.benchmarks.split(",") if name))
    to = parsed.to or Path("evals") / (
        Path(parsed.model).resolve().name if Path(parsed.model).exists() else _leaf(parsed)
    )
    return evaluate_model(
        Wanted(
            model=parsed.model,
            benchmarks=_settings(names, parsed.setting, run_code=parsed.run_code),
            data=parsed.data,
            protocol=parsed.protocol,
            style=parsed.style,
            limit=parsed.limit,
            samples=parsed.samples,
            temperature=_temperature(parsed),
            top_p=parsed.top_p,
            max_tokens=parsed.max_tokens,
            max_prompt_tokens=parsed.max_prompt_tokens,
            rethink=parsed.rethink,
            engine=parsed.engine,
            seed=parsed.seed,
            to=to,
            settings=tuple(parsed.config),
        ),
        judge=_judge(parsed, to),
        workers=parsed.workers,
    )


def _leaf(parsed: argparse.Namespace) -> str:
    """The last part of a hub name."""
    return str(parsed.model).rstrip("/").rpartition("/")[2]


def _settings(names: list[str], given: list[str], *, run_code: bool) -> dict[str, str]:
    """Benchmark → its setting, empty where none is named.

    Raises:
        ConfigError: a setting is of no benchmark that is asked for, or no programs would be run.
    """
    if not names:
        raise ConfigError("--benchmarks names none; give one or more, such as mathvista,mathvision")
    settings = dict.fromkeys(names, "")
    for each in given:
        name, equals, setting = each.partition("=")
        if not equals and len(names) == 1:
            name, setting = names[0], each
        if name not in settings or not setting:
            raise ConfigError(f"--setting {each}: write BENCHMARK=SETTING with a benchmark of {', '.join(names)}")
        settings[name] = setting
    if run_code and "megabench" not in settings:
        raise ConfigError(f"--run-code: of {', '.join(names)} none runs programs; leave it out, or add megabench")
    if run_code:
        settings["megabench"] = ",".join(filter(None, (settings["megabench"], "run-code")))
    return settings


def _temperature(parsed: argparse.Namespace) -> float:
    if parsed.temperature is None:
        return 0.0 if parsed.samples == 1 else 1.0
    if parsed.temperature < 0 or not 0 < parsed.top_p <= 1:
        raise ConfigError(f"--temperature {parsed.temperature:g} --top-p {parsed.top_p:g}: at least 0, and in (0, 1]")
    if parsed.temperature == 0 and parsed.samples > 1:
        raise ConfigError(f"--samples {parsed.samples} with --temperature 0 are all the same; raise the temperature")
    return float(parsed.temperature)


def _judge(parsed: argparse.Namespace, to: Path) -> Judge | None:
    """The judge that is named.

    Raises:
        ConfigError: it lacks its model or its address, or cannot be asked, or the protocol asks none.
    """
    from rethinker.evaluation.judge import open_judge

    if (parsed.judge is None) != (parsed.judge_model is None):
        raise ConfigError("--judge URL and --judge-model NAME belong together; give both or neither")
    if parsed.judge is None:
        return None
    if parsed.protocol == "boxed":
        raise ConfigError("--judge: the boxed protocol asks no judge; leave it out, or use --protocol official")
    return open_judge(parsed.judge, parsed.judge_model, cache=to / "judge")
