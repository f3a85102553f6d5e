"""The learner as the driver sees it: plans, ranks that run them, and metrics that add up. It holds no weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from rethinker.distributed.peers import Peer, call_all, gather
from rethinker.errors import CheckpointError
from rethinker.interfaces import Learner
from rethinker.learner.work import Planner, in_order
from rethinker.types import Experience, Metrics, State, merge


class ShardedLearner(Learner):
    """A learner whose model is spread over ranks (`rank.LearnerRank`), each behind a peer.

    Args:
        ranks: In their order.
        planner: Cuts updates; an outline of the model is enough for it.
        patience: Seconds after which a rank that does not answer is taken for dead.
    """

    def __init__(self, ranks: Sequence[Peer], planner: Planner, *, patience: float) -> None:
        self._ranks = ranks
        self._planner = planner
        self._patience = patience
        self._step = 0

    def policy_synced(self, version: int) -> None:
        """The weights as they are now became the behaviour policy `version`, on every rank."""
        self._all("policy_synced", version)

    def update(self, chosen: Sequence[Experience]) -> Metrics:
        """One optimiser update, each rank its part.

        Raises:
            RankLostError: a rank is gone or hangs.
        """
        self._step += 1
        works = self._planner.plan(self._step, chosen, ranks=len(self._ranks))
        return merge(*self._each("run", works))

    def token_logprobs(self, experiences: Sequence[Experience]) -> list[Float32[np.ndarray, " tokens"]]:
        """Log-probabilities of every response token under the current weights, in the order given.

        Raises:
            RankLostError: a rank is gone or hangs.
        """
        cut = self._planner.cut(experiences, ranks=len(self._ranks))
        return in_order(experiences, cut, self._each("token_logprobs", cut))

    def save(self, folder: Path) -> State:
        """The ranks write what they hold below `folder`; what is small and alike on all comes back.

        Raises:
            RankLostError: a rank is gone or hangs.
        """
        return {"step": self._step, "ranks": self._all("save", folder)[0]}

    def load(self, folder: Path, state: State) -> None:
        """Restore what `save` wrote, by however many ranks.

        Raises:
            CheckpointError: what was saved is of another model.
            RankLostError: a rank is gone or hangs.
        """
        if "ranks" not in state:
            raise CheckpointError(
                "the checkpoint was saved by a learner in one process and this one has ranks; resume with "
                "cluster.kind=local, or start a new run from the checkpoint's hf/ folder"
            )
        self._step = int(state["step"])
        self._all("load", folder, state["ranks"])

    def write_model(self, folder: Path) -> None:
        """Write a Hugging Face folder.

        Raises:
            RankLostError: a rank is gone or hangs.
        """
        self._all("write_model", folder)

    def close(self) -> None:
        """Let the ranks go."""
        for rank in self._ranks:
            rank.close()

    def _all(self, method: str, *args: object) -> list[Any]:
        return call_all(self._ranks, method, *args, patience=self._patience)

    def _each(self, method: str, parts: Sequence[object]) -> list[Any]:
        calls = [rank.call(method, part) for rank, part in zip(self._ranks, parts, strict=True)]
        return gather(self._ranks, calls, patience=self._patience)
