"""The run's own verbs; whole runs are in `tests/e2e`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from unittest.mock import Mock

import torch
from tests.learner.given import batch, learner
from tests.rollout.scripted import ScriptedEngine

from rethinker.models.vlm import VLM
from rethinker.rollout.sync import LocalSync
from rethinker.runs.codec import encode
from rethinker.train import Parts, Run


class ReadingEngine(ScriptedEngine):
    """Takes a copy of the weights, as an engine in another process does."""

    def load_weights(self, weights: Iterator[tuple[str, torch.Tensor]], version: int) -> None:
        self.held = {name: weight.clone() for name, weight in weights}
        self.version = version


def run(**parts: object) -> Run:
    """A run whose other parts do nothing."""
    rest = {field.name: Mock() for field in fields(Parts)}
    return Run(Parts(**rest | parts), progress=Mock(), memory=Mock(peak_bytes=0), stop=Mock())


def test_a_resumed_engine_has_the_weights_of_the_checkpoint_and_the_learner_its_own_state(
    tiny_vlm: VLM, tmp_path: Path
) -> None:
    stopped, resumed = learner(tiny_vlm), learner(tiny_vlm)
    stopped.policy_synced(1)
    stopped.update(batch(tiny_vlm))  # in the middle of an episode: the weights have moved since the sync
    state = run(learner=stopped).save(tmp_path) | {"version": 1}
    engine = ReadingEngine(tiny_vlm, lambda request, sample: "")
    run(learner=resumed, weights=LocalSync(resumed.named_weights, engine)).load(tmp_path, state)
    assert engine.version == 1
    assert all(torch.equal(engine.held[name], weight) for name, weight in stopped.named_weights())
    assert encode(resumed.state_dict())[0] == encode(stopped.state_dict())[0]
