"""The same seed on the same machine is the same run, to the byte, whatever finishes first: verdicts, images, threads.

With everything on that could let an order in. `test_resume.py` has the same for runs that were stopped.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from tests.e2e import runs

STEPS = 4
EVERYTHING = (
    f"train.steps={STEPS}",
    "sampler.kind=dynamic",
    "sampler.max_rounds=2",
    "sampler.group_size=2",
    "replay.lifetime=2",
    "advantage.kind=grpo_std",
    "truncation.kind=soft_penalty",
    "truncation.buffer=8",
    "objective.kind=dual_clip",
    "objective.kl_coefficient=0.01",
    "objective.entropy_coefficient=0.01",
    "learner.behaviour_logprobs=learner",
    "learner.micro_batch_tokens=150",
    "learner.weight_decay=0.01",
    "model.gradient_checkpointing=true",
    "checkpoints.every=2",
)
WORKERS = {
    "one of each": ("verifier.workers=1", "data.threads=1"),
    "several": ("verifier.workers=2", "data.threads=4"),
    "one of each, again": ("verifier.workers=1", "data.threads=1"),
    "images when they are needed": ("verifier.workers=3", "data.threads=0"),
}
UNEVEN = r'''

judged = score


def score(response, problem):
    """As above, in another time each time: verdicts come in any order."""
    time.sleep(0.02 * int.from_bytes(os.urandom(1)) / 255)
    return judged(response, problem)
'''


@pytest.fixture(scope="module")
def place(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("determinism")
    runs.write_recipe(folder, talker, data={"kind": "jsonl", "path": "rows.jsonl"})
    (folder / "looks.py").write_text(runs.VERIFIER + UNEVEN)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(40):
        side = int(rng.integers(30, 90))
        Pillow.fromarray(rng.integers(0, 256, (side, 56, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        question = f"<image>How many, in row {number}?"
        rows.append({"question": question, "answer": str(number % 9), "image": f"{number}.png"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def first(place: Path) -> Path:
    return trained(place, "one of each")


def trained(place: Path, name: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        runs.train(place / "recipe.yaml", place / name, *EVERYTHING, *WORKERS[name])
    return place / name


def test_the_run_has_what_an_order_could_change(first: Path) -> None:
    rows = runs.metrics(first)
    assert len(rows) == STEPS
    assert sum(row.get("groups/mixed", 0) for row in rows) > 0
    assert sum(row["replay/drawn"] for row in rows) > 0
    assert any(row.get("eval/accuracy") is not None for row in rows)
    assert {"policy/kl", "policy/dual_clip_fraction", "behaviour/moved", "sampler/rounds"} <= rows[0].keys()
    assert runs.weights(first, 2) != runs.weights(first, STEPS)


@pytest.mark.parametrize(
    "name",
    ["several", *(pytest.param(name, marks=pytest.mark.long) for name in list(WORKERS)[2:])],
)
def test_the_same_seed_is_the_same_run_whatever_finishes_first(place: Path, first: Path, name: str) -> None:
    found = trained(place, name)
    assert runs.metrics(found) == runs.metrics(first)
    assert runs.rollouts(found) == runs.rollouts(first)
    assert runs.weights(found, STEPS) == runs.weights(first, STEPS)
    assert runs.summary(found) == runs.summary(first)
