"""Publishing weights in one process: the torch engine samples from the learner's own tensors, vLLM from a copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from rethinker.interfaces import RolloutEngine, WeightSync
from rethinker.types import Metrics


class LocalSync(WeightSync):
    """Sync between a learner and an engine of one process.

    Args:
        named_weights: The learner's.
    """

    def __init__(self, named_weights: Callable[[], Iterator[tuple[str, Tensor]]], engine: RolloutEngine) -> None:
        self._named_weights = named_weights
        self._engine = engine

    def publish(self, version: int) -> Metrics:
        """After it returns, the engine samples under `version`."""
        self._engine.load_weights(self._named_weights(), version)
        return {}
