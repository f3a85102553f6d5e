"""What a server and its engine's process tell each other, and the line between them.

Both are processes of one user, joined by a pair of sockets that nobody else holds, so messages are pickles. Tensors go
as arrays: a torch tensor's own pickle costs more than a step.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from rethinker.errors import RethinkerError
from rethinker.interfaces import Request, Sampling
from rethinker.models.pixels import Prepared
from rethinker.types import Completion, Prompt

Item = tuple[int, ...] | Completion | RethinkerError
"""Of a request: tokens it grew by, and at its end what it came to."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Load:
    """The first message: what is to be loaded."""

    model: Any
    max_tokens: int


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Loaded:
    """The first answer: it can be asked from now on."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Show:
    """A prompt, which requests name from now on, and what the processor made of it."""

    prompt: Prompt
    arrays: dict[str, dict[str, np.ndarray]]

    @classmethod
    def of(cls, prompt: Prompt, prepared: Prepared) -> Show:
        """With its tensors as arrays."""
        parts = {
            "pixels": prepared.pixels,
            "token_types": prepared.token_types,
            "positions": {"": prepared.positions},
        }
        arrays = {part: {name: each.numpy() for name, each in tensors.items()} for part, tensors in parts.items()}
        return cls(prompt=prompt, arrays=arrays)

    def prepared(self) -> Prepared:
        """The tensors again."""
        tensors = {
            part: {name: torch.from_numpy(each) for name, each in arrays.items()}
            for part, arrays in self.arrays.items()
        }
        return Prepared(
            pixels=tensors["pixels"], token_types=tensors["token_types"], positions=tensors["positions"][""]
        )


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Forget:
    """Nobody will name a prompt again."""

    problem_id: str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Ask:
    """A request for one sample of a prompt that was shown.

    Attributes:
        told: Whether its tokens are wanted as they come.
    """

    id: str
    problem_id: str
    prefix: Int64[np.ndarray, " prefix"]
    sampling: Sampling
    seeds: tuple[int, ...]
    told: bool

    @classmethod
    def of(cls, request: Request, *, told: bool) -> Ask:
        """Without its prompt."""
        return cls(
            id=request.id,
            problem_id=request.prompt.problem_id,
            prefix=request.prefix,
            sampling=request.sampling,
            seeds=request.seeds,
            told=told,
        )

    def request(self, prompt: Prompt) -> Request:
        """With it again."""
        return Request(id=self.id, prompt=prompt, prefix=self.prefix, sampling=self.sampling, seeds=self.seeds)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Cancel:
    """A request whose answer nobody waits for."""

    request_id: str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Close:
    """Nothing more is asked."""


Order = Load | Show | Forget | Ask | Cancel | Close
News = Loaded | RethinkerError | Sequence[tuple[str, Item]]
"""What came of the loading, then what came of requests, by their names."""


class Line:
    """One end.

    Args:
        descriptor: Of the socket.
    """

    def __init__(self, descriptor: int) -> None:
        self._connection = Connection(descriptor)

    def fileno(self) -> int:
        """For who waits for several things."""
        return self._connection.fileno()

    def send(self, message: Order | News) -> None:
        """Send.

        Raises:
            OSError: the far side is gone.
        """
        self._connection.send_bytes(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))

    def receive(self) -> Any:
        """Wait for a message.

        Raises:
            EOFError, OSError: the far side is gone.
        """
        return pickle.loads(self._connection.recv_bytes())

    def waits(self) -> bool:
        """Whether there is a message, or the far side is gone."""
        return self._connection.poll()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
