"""Turns and pictures to a prompt that the engine has been shown; on threads, so that others are answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rethinker.errors import DataError
from rethinker.inference.engine_process import EngineProcess
from rethinker.inference.refused import Refused
from rethinker.models.pixels import Prepared
from rethinker.models.templates import Template
from rethinker.models.vlm import VLM
from rethinker.types import Dialogue, Image, Prompt, Turn

CHARACTERS = 32
"""A text of more characters for each token of the context is refused before it is tokenised."""

Value = TypeVar("Value")


class Prompts:
    """Makes prompts for an engine.

    Args:
        vlm: Its weights are not asked for.
        template: What is put after the last turn.
        most: Tokens of the longest prompt; one more must be left for the response.
    """

    def __init__(self, vlm: VLM, engine: EngineProcess, *, template: Template, most: int) -> None:
        self._vlm = vlm
        self._engine = engine
        self._template: Template = template
        self._most = most
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="images")
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="prompts")  # a tokenizer bears no more than one

    async def images(self, load: Callable[[Value], Image], sources: Sequence[Value]) -> tuple[Image, ...]:
        """Pictures, in order, each loaded on a thread."""
        loop = asyncio.get_running_loop()
        return tuple(await asyncio.gather(*(loop.run_in_executor(self._readers, load, source) for source in sources)))

    async def prompt(self, name: str, turns: tuple[Turn, ...], images: tuple[Image, ...]) -> Prompt:
        """The prompt of a dialogue, which the engine has until it is told to `forget` it.

        Raises:
            Refused: the model's processor or template does not take it, or it is too long.
        """
        if (length := sum(len(turn.text) for turn in turns)) > CHARACTERS * self._most:
            raise _too_long(f"the messages have {length:,} characters", self._most)
        dialogue = Dialogue(id=name, turns=turns, images=images)
        loop = asyncio.get_running_loop()
        try:
            prompt, prepared = await loop.run_in_executor(self._encoder, self._made, dialogue)
        except DataError as error:
            raise Refused(str(error).removeprefix(f"problem {dialogue.id}: "), param="messages") from error
        if len(prompt.token_ids) > self._most:
            raise _too_long(f"the prompt has {len(prompt.token_ids):,} tokens", self._most)
        self._engine.show(prompt, prepared)
        return prompt

    def _made(self, dialogue: Dialogue) -> tuple[Prompt, Prepared]:
        prompt = self._vlm.encode(dialogue, self._template)
        return prompt, self._vlm.prepared(prompt)

    def forget(self, prompt: Prompt) -> None:
        """Nothing more will be asked of it."""
        self._engine.forget(prompt)

    def close(self) -> None:
        """Let the threads go."""
        for each in (self._readers, self._encoder):
            each.shutdown(wait=False, cancel_futures=True)


def _too_long(what: str, most: int) -> Refused:
    message = f"{what}, more than the {most:,} tokens that the model takes; shorten them or send smaller images"
    return Refused(message, param="messages", code="context_length_exceeded")
