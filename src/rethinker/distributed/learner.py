"""The learner as the driver sees it: plans, ranks that run them, and metrics that add up. It holds no weights."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from rethinker.distributed.peers import Peer
from rethinker.errors import RankError, RethinkerError
from rethinker.interfaces import Learner
from rethinker.learner.work import Planner, in_order
from rethinker.types import Experience, Metrics, State, merge


class ShardedLearner(Learner):
    """A learner whose model is spread over ranks (`rank.LearnerRank`), each behind a peer.

    Args:
        peers: In the order of their ranks.
        planner: Cuts updates; an outline of the model is enough for it.
    """

    def __init__(self, peers: Sequence[Peer], planner: Planner) -> None:
        self._peers = peers
        self._planner = planner
        self._step = 0

    def policy_synced(self, version: int) -> None:
        """The weights as they are now became the behaviour policy `version`, on every rank."""
        self._all("policy_synced", version)

    def update(self, chosen: Sequence[Experience]) -> Metrics:
        """One optimiser update, each rank its part.

        Raises:
            RankError: a rank failed.
        """
        self._step += 1
        works = self._planner.plan(self._step, chosen, ranks=len(self._peers))
        return merge(*self._each("run", works))

    def token_logprobs(self, experiences: Sequence[Experience]) -> list[Float32[np.ndarray, " tokens"]]:
        """Log-probabilities of every response token under the current weights, in the order given.

        Raises:
            RankError: a rank failed.
        """
        cut = self._planner.cut(experiences, ranks=len(self._peers))
        return in_order(experiences, cut, self._each("token_logprobs", cut))

    def save(self, folder: Path) -> State:
        """The ranks write what they hold below `folder`; what is small and alike on all comes back.

        Raises:
            RankError: a rank failed.
        """
        return {"step": self._step, "ranks": self._all("save", folder)[0]}

    def load(self, folder: Path, state: State) -> None:
        """Restore what `save` wrote, by however many ranks.

        Raises:
            RankError: a rank failed, or what was saved is of another model.
        """
        self._step = int(state["step"])
        self._all("load", folder, state["ranks"])

    def write_model(self, folder: Path) -> None:
        """Write a Hugging Face folder.

        Raises:
            RankError: a rank failed.
        """
        self._all("write_model", folder)

    def close(self) -> None:
        """Let the ranks go."""
        for peer in self._peers:
            peer.close()

    def _all(self, method: str, *args: object) -> list[Any]:
        return gathered(method, [peer.call(method, *args) for peer in self._peers])

    def _each(self, method: str, parts: Sequence[object]) -> list[Any]:
        return gathered(method, [peer.call(method, part) for peer, part in zip(self._peers, parts, strict=True)])


def gathered(method: str, calls: Sequence[Future[Any]]) -> list[Any]:
    """What all ranks return.

    Raises:
        RankError: one failed. The others may be waiting for it inside a collective, so nobody waits for them.
    """
    wait(calls, return_when=FIRST_EXCEPTION)
    for rank, call in enumerate(calls):
        if call.done() and (error := call.exception()) is not None:
            raise RankError(f"learner rank {rank} of {len(calls)} failed in {method}: {_said(error)}") from error
    return [call.result() for call in calls]


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, RethinkerError) else f"{type(error).__name__}: {error}"
