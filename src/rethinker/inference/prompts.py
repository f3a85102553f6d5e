"""Turns and pictures to a prompt: pictures on threads of their own, so that sampling goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from rethinker.errors import DataError
from rethinker.inference.engine_thread import EngineThread
from rethinker.inference.refused import Refused
from rethinker.models.templates import Template
from rethinker.models.vlm import VLM
from rethinker.types import Dialogue, Image, Prompt, Turn

CHARACTERS = 32
"""A text of more characters for each token of the context is refused before it is tokenised."""

Value = TypeVar("Value")


class Prompts:
    """Makes prompts for an engine.

    Args:
        template: What is put after the last turn.
        most: Tokens of the longest prompt; one more must be left for the response.
    """

    def __init__(self, vlm: VLM, engine: EngineThread, *, template: Template, most: int) -> None:
        self._vlm = vlm
        self._engine = engine
        self._template: Template = template
        self._most = most
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="images")

    async def images(self, load: Callable[[Value], Image], sources: Sequence[Value]) -> tuple[Image, ...]:
        """Pictures, in order, each loaded on a thread."""
        loop = asyncio.get_running_loop()
        return tuple(await asyncio.gather(*(loop.run_in_executor(self._readers, load, source) for source in sources)))

    async def prompt(self, name: str, turns: tuple[Turn, ...], images: tuple[Image, ...]) -> Prompt:
        """The prompt of a dialogue.

        Raises:
            Refused: the model's processor or template does not take it, or it is too long.
        """
        if (length := sum(len(turn.text) for turn in turns)) > CHARACTERS * self._most:
            raise _too_long(f"the messages have {length:,} characters", self._most)
        dialogue = Dialogue(id=name, turns=turns, images=images)
        # Shielded: whoever goes away in between would leave his pictures where nobody fetches them.
        prompt = await asyncio.shield(self._made(dialogue))
        if len(prompt.token_ids) > self._most:
            raise _too_long(f"the prompt has {len(prompt.token_ids):,} tokens", self._most)
        return prompt

    async def _made(self, dialogue: Dialogue) -> Prompt:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._readers, self._vlm.encode_ahead, dialogue, self._template)
        try:
            return await self._engine.call(partial(self._vlm.encode, dialogue, self._template))
        except DataError as error:
            raise Refused(str(error).removeprefix(f"problem {dialogue.id}: "), param="messages") from error

    def close(self) -> None:
        """Let the threads go."""
        self._readers.shutdown(wait=False, cancel_futures=True)


def _too_long(what: str, most: int) -> Refused:
    message = f"{what}, more than the {most:,} tokens that the model takes; shorten them or send smaller images"
    return Refused(message, param="messages", code="context_length_exceeded")
