"""The arguments of `rethinker ask` and `rethinker serve`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rethinker.errors import ConfigError

_ASK = """\
  rethinker ask tiny "How much is 3 + 4?"
  rethinker ask my-vlm plot.png "Which bar is the longest?" --rethink 1
  curl -s https://example.org/plot.png | rethinker ask runs/my-run - "Which bar is the longest?" --json
"""
_SERVE = """\
Any OpenAI client works against http://HOST:PORT/v1; docs/serving.md has examples. The token is read from --token-file
or RETHINKER_TOKEN.

  rethinker serve tiny
  RETHINKER_TOKEN=… rethinker serve my-vlm --host 0.0.0.0
"""
_MODEL = "a model's folder, a run's (its newest checkpoint), a hub name, or tiny (embedded)"


def add_inference_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ask` and `serve` to the commands."""
    _add_ask(commands)
    _add_serve(commands)


def _add_ask(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "ask",
        help="ask a model about images, and make it look again",
        description="Ask a model about images; watch its answer, and its second looks, come.",
        epilog=_ASK,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help=_MODEL)
    parser.add_argument("asked", nargs="+", metavar="[IMAGE…] QUESTION", help="files, - for stdin; the question last")
    parser.add_argument("--rethink", default="off", metavar="off|auto|N", help="second looks (default off)")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 (default) is greedy")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="nucleus sampling (default 1: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="keys every draw (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end instead of text as it comes")
    _add_model(parser, max_tokens=1024)
    parser.set_defaults(command=_ask)


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "serve",
        help="an OpenAI-compatible endpoint, and a page to ask on",
        description="Serve a model to OpenAI clients, and a page that shows first answers and second looks.",
        epilog=_SERVE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", nargs="?", default="tiny", metavar="MODEL", help=f"{_MODEL}; default tiny")
    parser.add_argument("--host", default="127.0.0.1", help="another than loopback needs a token (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="0 takes a free one (default 8000)")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="holds the bearer token that clients must send")
    parser.add_argument("--name", metavar="NAME", help="what clients call the model (default: its folder's name)")
    _add_model(parser, max_tokens=2048)
    limits = parser.add_argument_group("limits")
    limits.add_argument("--rows", type=int, default=64, metavar="N", help="answers decoded at once (default 64)")
    limits.add_argument(
        "--waiting", type=int, default=256, metavar="N", help="answers at once, queued too (default 256)"
    )
    limits.add_argument("--timeout", type=float, default=600, metavar="S", help="seconds for an answer (default 600)")
    limits.add_argument("--max-body", type=float, default=32, metavar="MB", help="of a request (default 32)")
    limits.add_argument("--max-images", type=int, default=8, metavar="N", help="of a request (default 8)")
    limits.add_argument("--max-pixels", type=float, default=16, metavar="M", help="megapixels of an image (default 16)")
    limits.add_argument("--max-looks", type=int, default=4, metavar="N", help="second looks of an answer (default 4)")
    limits.add_argument("--max-choices", type=int, default=8, metavar="N", help="n of a request (default 8)")
    limits.add_argument("--drain", type=float, default=30, metavar="S", help="seconds to finish when stopped (30)")
    limits.add_argument(
        "--allow-remote-images", action="store_true", help="fetch images from public http(s) addresses in requests"
    )
    parser.set_defaults(command=_serve)


def _add_model(parser: argparse.ArgumentParser, *, max_tokens: int) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--engine", choices=("torch", "vllm"), default="torch", help="what generates (default torch)")
    group.add_argument(
        "--max-tokens",
        type=int,
        default=max_tokens,
        metavar="N",
        help=f"most tokens of a response, second looks included (default {max_tokens})",
    )
    group.add_argument("--max-prompt-tokens", type=int, default=8192, metavar="N", help="of a question (default 8192)")
    group.add_argument(
        "--prompt",
        choices=("plain", "rethinking", "bare"),
        help="what is put after a question: to box the answer (plain), to question itself too, or nothing (default: "
        "as the model's run, else plain)",
    )
    group.add_argument(
        "--config", nargs="+", default=[], metavar="FILE|key=value", help="settings of model and engine, as for `train`"
    )


def _ask(parsed: argparse.Namespace) -> int:
    from rethinker.commands.ask import Question, ask

    if not 0 <= parsed.temperature <= 2 or not 0 < parsed.top_p <= 1:
        raise ConfigError(f"--temperature {parsed.temperature:g} --top-p {parsed.top_p:g}: from 0 to 2, and in (0, 1]")
    *images, question = parsed.asked
    return ask(
        parsed.model,
        Question(text=question, images=tuple(images)),
        rethink=parsed.rethink,
        temperature=parsed.temperature,
        top_p=parsed.top_p,
        seed=parsed.seed,
        as_json=parsed.json,
        engine=parsed.engine,
        max_tokens=_above_0("--max-tokens", parsed.max_tokens),
        max_prompt_tokens=_above_0("--max-prompt-tokens", parsed.max_prompt_tokens),
        prompt=parsed.prompt,
        settings=parsed.config,
    )


def _serve(parsed: argparse.Namespace) -> None:
    try:
        from rethinker.commands.serve import serve
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise ConfigError(
            f"serve needs {error.name}, which is not installed: pip install 'rethinker[serve]'"
        ) from error
    for option in ("rows", "waiting", "timeout", "max_body", "max_images", "max_pixels", "max_choices", "max_tokens"):
        _above_0(f"--{option.replace('_', '-')}", vars(parsed)[option])
    serve(parsed)


def _above_0(option: str, value: int) -> int:
    if value <= 0:
        raise ConfigError(f"{option} {value:g}: must be above 0")
    return value
