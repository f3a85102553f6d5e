"""`rethinker serve`: the endpoint and the page, until a signal."""

from __future__ import annotations

import argparse
import ipaddress
import os
from pathlib import Path

from rich.console import Console

from rethinker.build_inference import build_answering, named_model
from rethinker.commands.ask import engine_room
from rethinker.commands.settings import split_settings
from rethinker.commands.train import quieten
from rethinker.errors import ConfigError
from rethinker.inference.chat import Chat, Limits
from rethinker.inference.chat_request import Bounds
from rethinker.inference.images import ImageBounds
from rethinker.inference.listening import opened_socket, serve_until_stopped
from rethinker.inference.server import application

TOKEN = "RETHINKER_TOKEN"


def serve(parsed: argparse.Namespace) -> None:
    """Serve.

    Raises:
        RethinkerError: the model cannot be had, the address is taken, or needs a token.
    """
    token = _token(parsed.token_file)
    if token is None and not _is_loopback(parsed.host):
        raise ConfigError(
            f"--host {parsed.host} can be reached from other machines and there is no token; set {TOKEN} or "
            "--token-file, or listen on 127.0.0.1"
        )
    with opened_socket(parsed.host, parsed.port) as listening:  # a taken port shows before a model is loaded
        files, chosen = split_settings(parsed.config)
        room = engine_room(parsed.max_tokens, parsed.max_prompt_tokens)
        overrides = [f"engine.kind={parsed.engine}", f"engine.max_rows={parsed.rows}", *room, *chosen]
        quieten()
        model = named_model(parsed.model, overrides, files)
        answering = build_answering(model, template=parsed.prompt, max_tokens=parsed.max_tokens)
        name = parsed.name or model.name
        chat = Chat(answering.responder, answering.prompts, model=name, limits=_limits(parsed))
        host, port = listening.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"

        def ready() -> None:
            console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
            console.print(f"{name} answers at {address}/v1, and on the page {address}/")

        try:
            serve_until_stopped(
                application(chat, answering.engine, token=token), listening, drain_seconds=parsed.drain, ready=ready
            )
        finally:
            answering.prompts.close()


def _token(file: Path | None) -> str | None:
    """The bearer token, None where there is none.

    Raises:
        ConfigError: its file cannot be read, or holds none that a header may carry.
    """
    try:
        token = file.read_text(encoding="utf-8").strip() if file else os.environ.get(TOKEN)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {file} cannot be read: {error}") from error
    if token is None:
        return None
    if len(token) < 8 or not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(
            f"the token of {file or TOKEN} must be 8 or more printable ASCII characters without spaces; "
            "`openssl rand -hex 24` makes one"
        )
    return token


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _limits(parsed: argparse.Namespace) -> Limits:
    return Limits(
        request=Bounds(
            tokens=parsed.max_tokens,
            choices=parsed.max_choices,
            images=parsed.max_images,
            looks=parsed.max_looks,
        ),
        image=ImageBounds(pixels=int(parsed.max_pixels * 1e6), remote=parsed.allow_remote_images),
        body_bytes=int(parsed.max_body * 1e6),
        seconds=parsed.timeout,
        waiting=parsed.waiting,
    )
