from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.conftest import copied

from rethinker.algo.forcing import TRIGGERS
from rethinker.data.gym.catalogue import GymId, problem
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.learner.worked import Example, Piece, direct, splice
from rethinker.models.vlm import VLM
from rethinker.types import Experience, Outcome, Prompt, Rollout, Verdict

LESSONS = 60


@pytest.fixture(scope="session")
def talker(tiny_vlm: VLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned to give an answer, any digit, at once and after a trigger, without looking."""
    vlm = copied(tiny_vlm)
    learner = PolicyLearner(
        vlm,
        objective=Objective(imitation_coefficient=1.0),
        optimisation=Optimisation(steps=LESSONS, lr=4e-3, warmup=0.1, final_lr=0.1),
    )
    shown = vlm.encode(problem(GymId(family="counting", level=1, split="train", index=0)), "plain")
    said = [direct(str(digit)) for digit in range(10)]
    examples: list[Example] = [(Piece(text=text, learned=True, ends=True),) for text in said]
    examples += [
        (
            Piece(text=text, learned=False),
            Piece(text=list(TRIGGERS.values())[number % 3], learned=False),
            Piece(text="\n" + said[-number], learned=True, ends=True),
        )
        for number, text in enumerate(said)
    ]
    lessons = [given(vlm, shown, number, example) for number, example in enumerate(examples)]
    for _ in range(LESSONS):
        learner.update(lessons)
    folder = tmp_path_factory.mktemp("model") / "talker"
    folder.mkdir()
    vlm.save(folder)
    return folder


def given(vlm: VLM, prompt: Prompt, number: int, example: Example) -> Experience:
    ids, learned = splice(example, vlm.tokenize, vlm.eos_ids[0])
    zeros = np.zeros(len(ids), dtype=np.float32)
    rollout = Rollout(
        prompt=prompt,
        sample=number,
        token_ids=ids,
        logprobs=zeros,
        forced=np.ones(len(ids), dtype=np.bool_),
        text="",
        finish_reason="stop",
        policy_version=0,
        verdict=Verdict(outcome=Outcome.OK, reward=1.0, extracted=None),
    )
    return Experience(rollout=rollout, advantage=0.0, rl=zeros, imitation=learned.astype(np.float32))
