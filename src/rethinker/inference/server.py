"""The HTTP side: OpenAI's endpoints, the page, health and metrics over one `Chat`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rethinker.inference import looks
from rethinker.inference.chat import Chat, Event
from rethinker.inference.chat_request import ChatRequest, parsed
from rethinker.inference.chat_response import DONE, Shape, event
from rethinker.inference.engine_process import EngineProcess
from rethinker.inference.guard import Guard
from rethinker.inference.refused import Refused

PAGE = Path(__file__).parents[1] / "assets" / "serve"
FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js", "/icon.svg": "icon.svg"}
LINGER_S = 1.0
"""Seconds for which what is sent beyond the limit is read, and forgotten."""

GONE = 499
"""Counted for a client that went away, who gets no status."""

Value = TypeVar("Value")


def application(chat: Chat, engine: EngineProcess, *, token: str | None) -> ASGIApp:
    """The whole server; the engine starts and ends with it."""
    service = _Service(chat, engine)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        engine.start()
        try:
            yield
        finally:
            await engine.close()

    routes = [
        Route("/v1/models", service.models),
        Route("/v1/models/{name:path}", service.model),
        Route("/v1/chat/completions", service.complete, methods=["POST"]),
        Route("/health", service.health),
        Route("/metrics", service.metrics),
        *(Route(path, _file(name)) for path, name in FILES.items()),
    ]
    handlers: dict[Any, Any] = {Refused: _refusal, HTTPException: _unknown}
    made = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    return Guard(made, token=token, open_paths=[*FILES, "/health"])


class _Service:
    """The endpoints."""

    def __init__(self, chat: Chat, engine: EngineProcess) -> None:
        self._chat = chat
        self._engine = engine
        self._created = int(time.time())

    async def models(self, _: Request) -> Response:
        """The one model."""
        return JSONResponse({"object": "list", "data": [self._described()]})

    async def model(self, request: Request) -> Response:
        """The model by its name."""
        name = request.path_params["name"]
        if name != self._chat.model:
            message = f"the model {name[:60]!a} does not exist; this server has {self._chat.model}"
            raise Refused(message, status=404, param="model", code="model_not_found")
        return JSONResponse(self._described())

    async def health(self, _: Request) -> Response:
        """Whether it can answer."""
        alive = self._engine.alive
        return JSONResponse({"status": "ok" if alive else "the engine has stopped"}, 200 if alive else 503)

    async def metrics(self, _: Request) -> Response:
        """Counts for Prometheus."""
        return PlainTextResponse(self._chat.metrics.text(), media_type="text/plain; version=0.0.4")

    async def complete(self, request: Request) -> Response:
        """A chat completion."""
        counts = self._chat.metrics.requests
        try:
            reply = await self._completed(request)
        except Refused as refused:
            counts[refused.status] += 1
            raise
        except ClientDisconnect:
            counts[GONE] += 1
            return Response(status_code=GONE)
        counts[reply.status_code] += 1
        return reply

    async def _completed(self, request: Request) -> Response:
        limits = self._chat.limits
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused("the body must be JSON: send Content-Type: application/json", status=415)
        body = await _body(request, most=limits.body_bytes, seconds=limits.body_seconds)
        asked = parsed(body, model=self._chat.model, bounds=limits.request)
        events = self._chat.answer(asked)
        try:
            shape: Shape | Event = await _while_connected(request, anext(events))
            assert isinstance(shape, Shape)
            if not asked.stream:
                return await _while_connected(request, self._whole(shape, events))
            # What is refused by the engine shows with the first event, while there still is a status to tell it by.
            first: Shape | Event = await _while_connected(request, anext(events))
        except BaseException:
            await events.aclose()
            raise
        return _Stream(self._streamed(shape, asked, first, events), events, seconds=limits.seconds)

    async def _whole(self, shape: Shape, events: AsyncIterator[Shape | Event]) -> Response:
        responses: dict[int, looks.Response] = {}
        async for item in events:
            if isinstance(item, tuple) and isinstance(item[1], looks.Response):
                responses[item[0]] = item[1]
        ordered = [responses[choice] for choice in sorted(responses)]
        self._chat.count(shape, ordered)
        return JSONResponse(shape.whole(ordered))

    async def _streamed(
        self, shape: Shape, asked: ChatRequest, first: Shape | Event, events: AsyncIterator[Shape | Event]
    ) -> AsyncIterator[bytes]:
        responses: list[looks.Response] = []
        for choice in range(asked.choices):
            yield event(shape.opening(choice))
        try:
            async for item in _following(first, events):
                if not isinstance(item, tuple):
                    continue
                choice, part = item
                if isinstance(part, looks.Text):
                    yield event(shape.grown(choice, part))
                elif isinstance(part, looks.Response):
                    responses.append(part)
                    yield event(shape.ended(choice, part))
        except Refused as refused:
            yield event(refused.body)
            return
        self._chat.count(shape, responses)
        if asked.tells_usage:
            yield event(shape.counted(responses))
        yield DONE

    def _described(self) -> dict[str, Any]:
        return {"id": self._chat.model, "object": "model", "created": self._created, "owned_by": "rethinker"}


class _Stream(StreamingResponse):
    """Server-sent events; ends, and with it the work, when the client goes away or reads too slowly."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[bytes], events: Any, *, seconds: float) -> None:
        super().__init__(content)
        self._events = events
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds + 5):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            return
        finally:
            await self._events.aclose()


async def _following(first: Shape | Event, events: AsyncIterator[Shape | Event]) -> AsyncIterator[Shape | Event]:
    yield first
    async for item in events:
        yield item


async def _body(request: Request, *, most: int, seconds: float) -> bytes:
    """The body, as far as it is allowed.

    Raises:
        Refused: it is too large, or takes too long to come.
        ClientDisconnect: nobody sends it.
    """
    too_large = Refused(
        f"the body has more than the {most:,} bytes allowed", status=413, headers={"connection": "close"}
    )
    declared = int(request.headers.get("content-length") or 0)
    read = bytearray()
    try:
        async with asyncio.timeout(seconds), aclosing(request.stream()) as parts:
            while declared <= most and len(read) <= most:
                if (part := await anext(parts, None)) is None:
                    return bytes(read)
                read += part
            await _passed_over(parts, most=4 * most)
            raise too_large
    except TimeoutError as error:
        message = f"the body did not come within {seconds:g} s"
        raise Refused(message, status=408, headers={"connection": "close"}) from error


async def _passed_over(parts: AsyncIterator[bytes], *, most: int) -> None:
    """Read on for a moment: who sends before he reads would find the connection reset, and no answer."""
    left = most
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(LINGER_S):
            async for part in parts:
                left -= len(part)
                if left < 0:
                    return


async def _while_connected(request: Request, work: Coroutine[Any, Any, Value] | Any) -> Value:
    """What some work gives, unless the client goes away first; the work is then stopped.

    Raises:
        ClientDisconnect: it did.
    """
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _file(name: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def reply(_: Request) -> Response:
        return FileResponse(PAGE / name)

    return reply


async def _refusal(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return JSONResponse(refused.body, refused.status, headers=refused.headers)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refused = Refused(f"{request.method} {request.url.path[:200]}: {error.detail}", status=error.status_code)
    return JSONResponse(refused.body, error.status_code, headers=error.headers)
