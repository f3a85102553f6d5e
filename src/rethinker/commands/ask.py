"""`rethinker ask`: one question, its answer and second looks as they come."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from rethinker.build_inference import Answering, build_answering, named_model
from rethinker.commands.settings import split_settings
from rethinker.commands.train import quieten
from rethinker.errors import ConfigError, DataError
from rethinker.inference.chat_request import rethinking
from rethinker.inference.chat_response import response_fields
from rethinker.inference.images import ImageBounds, from_bytes, from_file
from rethinker.inference.looks import Response, Rethinking, Text, Wanted
from rethinker.inference.refused import Refused
from rethinker.interfaces import Sampling
from rethinker.models.templates import Template
from rethinker.types import IMAGE_MARK, Image, Turn

STDIN = "-"
MOST_LOOKS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        images: Paths, `-` for standard input.
    """

    text: str
    images: tuple[str, ...]


def ask(
    model: str,
    question: Question,
    *,
    rethink: str,
    temperature: float,
    top_p: float,
    seed: int,
    as_json: bool,
    engine: str,
    max_tokens: int,
    max_prompt_tokens: int,
    prompt: Template | None,
    settings: Sequence[str],
) -> int:
    """Ask, and show the answer.

    Raises:
        RethinkerError: the model or an image cannot be had, or the question does not fit.
    """
    try:
        wanted = Wanted(
            sampling=Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens),
            seed=seed,
            rethinking=rethinking(rethink, MOST_LOOKS),
        )
    except Refused as refused:
        raise ConfigError(f"--{refused}") from refused
    turn = _turn(question)  # what is wrong with the question shows before a model is loaded
    images = _images(question.images)
    files, chosen = split_settings(settings)
    overrides = [f"engine.kind={engine}", *engine_room(max_tokens, max_prompt_tokens), *chosen]
    quieten()
    answering = build_answering(named_model(model, overrides, files), template=prompt, max_tokens=max_tokens)
    try:
        response = asyncio.run(_answered(answering, turn, images, wanted, show=not as_json))
    except Refused as refused:
        raise DataError(str(refused)) from refused
    if as_json:
        told = {"text": response.text, **response_fields(response), "finish_reason": response.finish}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    else:
        _conclude(response, wanted.rethinking)
    return 0


def engine_room(max_tokens: int, max_prompt_tokens: int) -> list[str]:
    """Settings that give an engine room for what is asked."""
    return [
        f"prompt.max_tokens={max_prompt_tokens}",
        f"sampler.first.max_tokens={max_tokens}",
        f"evaluation.max_tokens={max_tokens}",
        "rethink.kind=none",
    ]


def _turn(question: Question) -> Turn:
    if not question.text.strip():
        raise ConfigError("the question is empty; write it last, in quotes")
    if IMAGE_MARK in question.text:
        raise ConfigError(f"the question holds {IMAGE_MARK}, which stands for a picture; take it out")
    if not question.images and Path(question.text).suffix and Path(question.text).is_file():
        raise ConfigError(f"{question.text} is a file, and no question follows it; write the question last, in quotes")
    return Turn(role="user", text=IMAGE_MARK * len(question.images) + question.text)


def _images(paths: Sequence[str]) -> tuple[Image, ...]:
    if paths.count(STDIN) > 1:
        raise ConfigError("- stands for standard input, which holds one image; name the others by their paths")
    bounds = ImageBounds()
    return tuple(
        from_bytes(sys.stdin.buffer.read(bounds.encoded_bytes + 1), bounds)
        if path == STDIN
        else from_file(Path(path), bounds)
        for path in paths
    )


async def _answered(
    answering: Answering, turn: Turn, images: tuple[Image, ...], wanted: Wanted, *, show: bool
) -> Response:
    answering.engine.start()
    console = Console(highlight=False, soft_wrap=True)
    try:
        prompt = await answering.prompts.prompt("question", (turn,), images)
        response: Response | None = None
        async with aclosing(answering.responder.respond("ask", prompt, wanted, told=show)) as parts:
            async for part in parts:
                if isinstance(part, Response):
                    response = part
                elif isinstance(part, Text) and show:
                    _show(console, part)
        assert response is not None
        return response
    finally:
        answering.prompts.close()
        await answering.engine.close()


def _show(console: Console, part: Text) -> None:
    if part.kind == "trigger":
        console.print(
            f"\n\n[bold yellow]── second look {part.look} ──[/bold yellow]\n{escape(part.text.strip())}", end=""
        )
    else:
        console.print(part.text, end="", markup=False)


def _conclude(response: Response, asked: Rethinking) -> None:
    console = Console(highlight=False, soft_wrap=True)
    first, answer = response.looks[0].answer, response.answer
    console.print(f"\n\n[bold]answer: {escape(answer) if answer is not None else 'none was boxed'}[/bold]", end="")
    if len(response.looks) > 1 and response.changed:
        console.print(f"  [yellow](changed: first {escape(first) if first is not None else 'none'})[/yellow]")
    elif len(response.looks) > 1:
        console.print("  (unchanged)")
    else:
        console.print(_why_not(response, asked))
    if response.finish == "length":
        console.print("[red]cut off[/red]: it ran out of tokens; raise --max-tokens")


def _why_not(response: Response, asked: Rethinking) -> str:
    if not asked.looks or response.finish == "length":
        return ""
    return "  (sure: no second look)" if asked.only_unsure else "  (no room for a second look)"
