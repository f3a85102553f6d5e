"""One chat completion from its request to its answer: admitted, prompted, sampled, within its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from rethinker.errors import RethinkerError
from rethinker.inference.chat_request import Bounds, ChatRequest
from rethinker.inference.chat_response import Shape
from rethinker.inference.engine_process import EngineStopped
from rethinker.inference.images import ImageBounds, from_address
from rethinker.inference.looks import Look, Responder, Response, Text
from rethinker.inference.metrics import Metrics
from rethinker.inference.prompts import Prompts
from rethinker.inference.refused import Refused
from rethinker.types import Prompt

Value = TypeVar("Value")
Event = tuple[int, Text | Look | Response]
"""Which choice, and what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that a client gets.

    Attributes:
        request: Of one request.
        image: Of one picture.
        body_bytes: Of a body, which must come within `body_seconds`.
        seconds: For an answer, waiting included.
        waiting: Choices in the engine or waiting for it, of all clients together.
    """

    request: Bounds
    image: ImageBounds
    body_bytes: int = 32_000_000
    body_seconds: float = 30.0
    seconds: float = 600.0
    waiting: int = 256


class Chat:
    """Answers requests, each in the order it came.

    Attributes:
        model: The name it is asked by.
    """

    def __init__(self, responder: Responder, prompts: Prompts, *, model: str, limits: Limits) -> None:
        self._responder = responder
        self._prompts = prompts
        self.model = model
        self.limits = limits
        self.metrics = Metrics()

    async def answer(self, asked: ChatRequest) -> AsyncGenerator[Shape | Event, None]:
        """First the shape of the answer, then what comes of every choice, as it comes.

        Raises:
            Refused: there is no room, a picture or the prompt is not taken, or the time is over.
        """
        began = time.monotonic()
        until = began + self.limits.seconds
        self._admit(asked.choices)
        try:
            shape, prompt = await _within(self._put(asked), until)
            try:
                yield shape
                async with aclosing(self._choices(shape, prompt, asked, until)) as events:
                    spoken = False
                    async for event in events:
                        if not spoken:
                            self.metrics.first_seconds.add(time.monotonic() - began)
                        spoken = True
                        yield event
            finally:
                self._prompts.forget(prompt)
            self.metrics.seconds.add(time.monotonic() - began)
        finally:
            self.metrics.waiting -= asked.choices

    async def _choices(
        self, shape: Shape, prompt: Prompt, asked: ChatRequest, until: float
    ) -> AsyncGenerator[Event, None]:
        """What comes of every choice, until all have their responses."""
        came: asyncio.Queue[Event | Exception] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._follow(shape.id, prompt, asked, choice, came)) for choice in range(asked.choices)
        ]
        try:
            ended = 0
            while ended < asked.choices:
                item = await _within(came.get(), until)
                if isinstance(item, Exception):
                    raise item
                ended += isinstance(item[1], Response)
                yield item
        finally:
            for task in tasks:
                task.cancel()

    def count(self, shape: Shape, responses: Sequence[Response]) -> None:
        """Note what an answer took."""
        self.metrics.prompt_tokens += shape.prompt_tokens
        for response in responses:
            self.metrics.completion_tokens += response.tokens
            self.metrics.looks += len(response.looks) - 1
            self.metrics.changed += response.changed

    def _admit(self, choices: int) -> None:
        if self.metrics.waiting + choices > self.limits.waiting:
            raise Refused(
                f"{self.metrics.waiting} answers are being made or wait already; try again in a moment",
                status=429,
                kind="rate_limit_error",
                code="rate_limit_exceeded",
                headers={"retry-after": "1"},
            )
        self.metrics.waiting += choices

    async def _put(self, asked: ChatRequest) -> tuple[Shape, Prompt]:
        name = f"chatcmpl-{uuid4().hex}"
        images = await self._prompts.images(partial(from_address, bounds=self.limits.image), asked.images)
        prompt = await self._prompts.prompt(name, asked.turns, images)
        shape = Shape(id=name, model=self.model, prompt_tokens=len(prompt.token_ids), tells_looks=asked.tells_looks)
        return shape, prompt

    async def _follow(
        self, name: str, prompt: Prompt, asked: ChatRequest, choice: int, came: asyncio.Queue[Event | Exception]
    ) -> None:
        made = self._responder.respond(f"{name}-{choice}", prompt, asked.wanted, sample=choice, told=asked.stream)
        try:
            async with aclosing(made) as parts:
                async for part in parts:
                    came.put_nowait((choice, part))
        except EngineStopped as error:
            came.put_nowait(Refused(str(error), status=503, kind="server_error"))
        except RethinkerError as error:
            came.put_nowait(Refused(str(error)))


async def _within(work: Coroutine[Any, Any, Value], until: float) -> Value:
    try:
        return await asyncio.wait_for(work, until - time.monotonic())
    except TimeoutError as error:
        message = "the answer took longer than this server allows; ask for fewer tokens"
        raise Refused(message, status=504, kind="server_error", code="timeout") from error
