"""What an actor serves in tests; in a module of its own, for the actor's process imports it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping

import numpy as np
import ray

from rethinker.errors import DataError
from rethinker.types import Prompt


class Echo:
    def __init__(self, number: int) -> None:
        self.number = number
        self.seen: list[Prompt] = []

    def where(self) -> tuple[int, int]:
        return self.number, os.getpid()

    def meet(self, prompts: list[Prompt]) -> tuple[int, bool]:
        """How many different prompts it has met, and whether their pixels are mapped rather than copied."""
        for each in prompts:
            if not any(each is other for other in self.seen):
                self.seen.append(each)
        return len(self.seen), not prompts[0].images[0].pixels.flags.owndata

    def refuse(self) -> None:
        raise DataError(f"{self.number} refuses")

    def pair(self) -> tuple[np.ndarray, int]:
        return np.arange(10), self.number

    def total(self, arrays: list[ray.ObjectRef]) -> int:
        return sum(int(array.sum()) for array in ray.get(arrays))

    def say(self) -> None:
        sys.stderr.write("said on stderr\n")
        sys.stderr.flush()

    def hang(self) -> None:
        threading.Event().wait()


def echo(number: int) -> Mapping[str, object]:
    """What an actor is asked to make."""
    return {"echo": Echo(number)}
