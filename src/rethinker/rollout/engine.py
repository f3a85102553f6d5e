"""What every engine is asked through: generate, as a loop over `submit` and `step`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rethinker.interfaces import Request, RolloutEngine
from rethinker.types import Completion


def generate(engine: RolloutEngine, requests: Sequence[Request]) -> Iterator[Completion]:
    """Completions as they finish, in no fixed order: what is yielded can be verified while the rest still samples."""
    engine.submit(requests)
    while engine.pending:
        yield from engine.step()
