"""Messages between the pool and its workers: length-prefixed JSON, raw pixels behind it. No pickle: a worker that ran
somebody's code must not be able to run code in the trainer.

    frame = header (bytes of JSON, bytes of pixels) ⊕ JSON ⊕ pixels

    pool → worker   {"problems": […], "responses": [[index of the problem, text], …]}   pixels: the problems' images
    worker → pool   {"state": "loading"} | {"state": "ready"} | {"state": "failed", "why": …}
                    {"index": i, "verdict": {…}}, one per response, in order
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from rethinker.types import Image, Outcome, Problem, Verdict

Message = dict[str, Any]

OUT_OF_MEMORY = 77
"""Exit status of a worker after a MemoryError."""

AT_ONCE, LATE, REAP = b"f", b"l", b"r"
"""What the pool asks of a server, see `serving`."""

STATUS = struct.Struct("!i")
"""A server's answers: a process id, an exit status."""

_HEADER = struct.Struct("!IQ")
_LONGEST_REPLY = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker is started with; the fields are explained by `VerifierPool`."""

    memory_bytes: int
    function: str
    threshold: float
    folder: str


class GarbledError(ValueError):
    """Bytes that are no message of this protocol."""


def pack(message: Message, pixels: Sequence[bytes] = ()) -> bytes:
    """One frame."""
    text = json.dumps(message).encode("ascii")
    return b"".join([_HEADER.pack(len(text), sum(map(len, pixels))), text, *pixels])


def read_frame(stream: BinaryIO) -> tuple[Message, bytes] | None:
    """Wait for one frame from the pool; None at the end of the stream."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    text_bytes, pixel_bytes = _HEADER.unpack(header)
    return json.loads(stream.read(text_bytes)), stream.read(pixel_bytes)


class Inbox:
    """Collects a worker's bytes as they come and cuts them into messages."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, received: bytes) -> Iterator[Message]:
        """Take bytes; yield the messages they complete.

        Raises:
            GarbledError: what was received is no message.
        """
        self._received += received
        while len(self._received) >= _HEADER.size:
            text_bytes, pixel_bytes = _HEADER.unpack_from(self._received)
            if text_bytes > _LONGEST_REPLY or pixel_bytes:
                raise GarbledError(f"a header of {text_bytes} and {pixel_bytes} bytes")
            end = _HEADER.size + text_bytes
            if len(self._received) < end:
                return
            text = bytes(self._received[_HEADER.size : end])
            del self._received[:end]
            yield _parse(text)


def _parse(text: bytes) -> Message:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise GarbledError(f"{text[:80]!r} is not JSON") from error
    if not isinstance(message, dict):
        raise GarbledError(f"{text[:80]!r} is not an object")
    return message


def pack_batch(batch: Sequence[tuple[Problem, str]], *, whole: bool) -> bytes:
    """Frame responses with their problems, each problem once.

    Args:
        batch: Problems and responses; siblings share their problem object.
        whole: Send questions and images too. Rules read neither, so for rules they stay at home.
    """
    problems = {id(problem): problem for problem, _ in batch}
    index = {key: i for i, key in enumerate(problems)}
    message = {
        "problems": [_encode_problem(problem, whole=whole) for problem in problems.values()],
        "responses": [[index[id(problem)], response] for problem, response in batch],
    }
    images = [image for problem in problems.values() for image in problem.images] if whole else []
    return pack(message, [np.ascontiguousarray(image.pixels).tobytes() for image in images])


def unpack_batch(message: Message, pixels: bytes) -> list[tuple[Problem, str]]:
    """Undo `pack_batch`; images view the received bytes."""
    problems, offset = [], 0
    for record in message["problems"]:
        images = []
        for shape in record.pop("shapes"):
            size = int(np.prod(shape))
            flat = np.frombuffer(pixels, dtype=np.uint8, count=size, offset=offset)
            images.append(Image(pixels=flat.reshape(shape)))
            offset += size
        record["choices"] = tuple(record["choices"])
        problems.append(Problem(images=tuple(images), **record))
    return [(problems[index], response) for index, response in message["responses"]]


def _encode_problem(problem: Problem, *, whole: bool) -> Message:
    return {
        "id": problem.id,
        "question": problem.question if whole else "",
        "answer": problem.answer,
        "verifier": problem.verifier,
        "choices": problem.choices,
        "category": problem.category,
        "source": problem.source,
        "shapes": [image.pixels.shape for image in problem.images] if whole else [],
    }


def encode_verdict(verdict: Verdict) -> Message:
    """A verdict as JSON values."""
    return {
        "outcome": verdict.outcome.value,
        "reward": verdict.reward,
        "extracted": verdict.extracted,
        "detail": verdict.detail,
    }


def decode_verdict(record: Message) -> Verdict:
    """Undo `encode_verdict`.

    Raises:
        GarbledError: the record is no verdict.
    """
    try:
        return Verdict(
            outcome=Outcome(record["outcome"]),
            reward=float(record["reward"]),
            extracted=record["extracted"],
            detail=str(record["detail"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GarbledError(f"{str(record)[:80]} is not a verdict") from error
