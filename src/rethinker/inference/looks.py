"""A response look by look: the first answer, then second looks that a trigger forces, as training forces them.

A look that ended by itself loses its end token and goes on after a trigger (`algo/forcing.py`), all on the same token
ids. What is bounded is the whole response, triggers included. When one looks again by itself and how a prompt is made
is not here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64

from rethinker.algo.forcing import TRIGGERS, trigger_category
from rethinker.inference.engine_process import EngineProcess
from rethinker.inference.text_stream import TextStream
from rethinker.interfaces import Request, Sampling
from rethinker.rewards.extract import final_answer
from rethinker.seeding import Purpose, key
from rethinker.types import Completion, FinishReason, Prompt

UNSURE = -0.25
"""A first answer whose tokens have a lower mean log-probability than this is looked at again under `auto` (nats): each
token had 78 % on (geometric) average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rethinking:
    """How often a response looks again.

    Attributes:
        looks: Most second looks.
        only_unsure: Only where the first answer is missing or unsure (`Look.unsure`).
    """

    looks: int = 0
    only_unsure: bool = False


AUTO = Rethinking(looks=1, only_unsure=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a response is to be made.

    Attributes:
        sampling: Of every look; its `max_tokens` bounds the whole response.
        seed: With the sample's number it keys every draw.
        stops: Texts that end the response.
    """

    sampling: Sampling
    seed: int
    rethinking: Rethinking = Rethinking()
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look of a response.

    Attributes:
        number: 0 for the first answer.
        trigger: The text that made it look again; empty for the first.
        answer: The final answer in it, None where there is none.
        tokens: Sampled for it.
        logprob: Mean log-probability of its tokens (nats); None where a stop string cut it off.
    """

    number: int
    trigger: str
    text: str
    answer: str | None
    tokens: int
    finish: FinishReason
    logprob: float | None

    @property
    def unsure(self) -> bool:
        """Whether `auto` looks again: it has no final answer, or its tokens were unlikely."""
        return self.answer is None or (self.logprob is not None and self.logprob < UNSURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole response.

    Attributes:
        tokens: All of it, triggers included.
    """

    looks: tuple[Look, ...]
    tokens: int

    @property
    def text(self) -> str:
        """As it was made: looks and triggers in a row."""
        return "".join(look.trigger + look.text for look in self.looks)

    @property
    def finish(self) -> FinishReason:
        """How its last look ended."""
        return self.looks[-1].finish

    @property
    def answer(self) -> str | None:
        """The last look's that has one."""
        return next((look.answer for look in reversed(self.looks) if look.answer is not None), None)

    @property
    def changed(self) -> bool:
        """Whether the answer is another than the first look's."""
        return self.answer != self.looks[0].answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Some more text of a look; a trigger's comes as one."""

    look: int
    kind: Literal["trigger", "text"]
    text: str


class Responder:
    """Makes responses.

    Args:
        context: Most tokens of prompt and response.
        decode, tokenize: Of the model; called in the event loop.
    """

    def __init__(
        self,
        engine: EngineProcess,
        *,
        decode: Callable[[Sequence[int]], str],
        tokenize: Callable[[str], Int64[np.ndarray, " tokens"]],
        context: int,
    ) -> None:
        self._engine = engine
        self._decode = decode
        self._triggers = {category: tokenize(text) for category, text in TRIGGERS.items()}
        self.context = context

    async def respond(
        self, name: str, prompt: Prompt, wanted: Wanted, *, sample: int = 0, told: bool = True
    ) -> AsyncGenerator[Text | Look | Response, None]:
        """Texts of each look as they come, the look when it has ended, and in the end the response.

        Args:
            name: Unique among the requests of the engine.
            told: Whether texts are wanted while a look is made; else each comes whole.

        Raises:
            RethinkerError: the engine refuses the prompt, or stopped.
        """
        left = min(wanted.sampling.max_tokens, self.context - len(prompt.token_ids))
        prefix, looks, trigger = np.zeros(0, dtype=np.int64), list[Look](), ""
        while True:
            request = self._request(f"{name}-{len(looks)}", prompt, prefix, wanted, left, sample, len(looks))
            look: _Made | None = None
            async with aclosing(self._look(request, wanted, len(looks), trigger, told)) as parts:
                async for part in parts:
                    if isinstance(part, Text):
                        yield part
                    else:
                        look = part
            assert look is not None
            looks.append(look.look)
            yield look.look
            left -= look.look.tokens
            category = trigger_category(wanted.seed, len(looks), "", sample, tuple(TRIGGERS))
            forced = self._triggers[category]
            # The end token is cut off, so that the response is one token shorter than what was sampled.
            if look.completion is None or not _goes_on(looks, wanted.rethinking) or left + 1 - len(forced) < 1:
                yield Response(looks=tuple(looks), tokens=len(prefix) + look.look.tokens)
                return
            left += 1 - len(forced)
            trigger = TRIGGERS[category]
            prefix = np.concatenate([prefix, look.completion.token_ids[:-1], forced])
            yield Text(look=len(looks), kind="trigger", text=trigger)

    def _request(
        self,
        name: str,
        prompt: Prompt,
        prefix: Int64[np.ndarray, " prefix"],
        wanted: Wanted,
        left: int,
        sample: int,
        look: int,
    ) -> Request:
        sampling = wanted.sampling
        return Request(
            id=name,
            prompt=prompt,
            prefix=prefix,
            sampling=Sampling(
                temperature=sampling.temperature, top_p=sampling.top_p, top_k=sampling.top_k, max_tokens=left
            ),
            seeds=(key(wanted.seed, Purpose.INFERENCE, step=look, sample=sample),),
        )

    async def _look(
        self, request: Request, wanted: Wanted, number: int, trigger: str, told: bool
    ) -> AsyncGenerator[Text | _Made, None]:
        stream = TextStream(self._decode, wanted.stops)
        completion, tokens = None, 0
        async with aclosing(self._engine.sample(request, told=told or bool(wanted.stops))) as sampled:
            async for item in sampled:
                ended = isinstance(item, Completion)
                ids = item.token_ids[tokens:].tolist() if isinstance(item, Completion) else item
                tokens += len(ids)
                if text := stream.push(ids, last=ended):
                    yield Text(look=number, kind="text", text=text)
                if stream.stopped:
                    break
                completion = item if isinstance(item, Completion) else None
        yield _made(completion, stream, number, trigger, tokens)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _Made:
    """A look with what it was made of; nothing where a stop string cut it off."""

    look: Look
    completion: Completion | None


def _made(completion: Completion | None, stream: TextStream, number: int, trigger: str, tokens: int) -> _Made:
    look = Look(
        number=number,
        trigger=trigger,
        text=stream.text,
        answer=final_answer(stream.text),
        tokens=tokens,
        finish=completion.finish_reason if completion is not None else "stop",
        logprob=float(completion.logprobs.mean()) if completion is not None else None,
    )
    return _Made(look=look, completion=completion)


def _goes_on(looks: Sequence[Look], rethinking: Rethinking) -> bool:
    """Whether it looks again; a look that was cut off has no end to go on from."""
    if looks[-1].finish != "stop" or len(looks) > rethinking.looks:
        return False
    return looks[-1].unsure or not rethinking.only_unsure
