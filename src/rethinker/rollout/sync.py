"""Publishing weights in one process: the torch engine samples from the learner's own tensors, vLLM from a copy."""

from __future__ import annotations

from rethinker.interfaces import Learner, RolloutEngine, WeightSync
from rethinker.types import Metrics


class LocalSync(WeightSync):
    """Sync between a learner and an engine of one process."""

    def __init__(self, learner: Learner, engine: RolloutEngine) -> None:
        self._learner = learner
        self._engine = engine

    def publish(self, version: int) -> Metrics:
        """After it returns, the engine samples under `version`."""
        self._engine.load_weights(self._learner.named_weights(), version)
        return {}
