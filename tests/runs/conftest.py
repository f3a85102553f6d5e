"""Small hand-made experience for the records and the codec."""

from collections.abc import Callable

import numpy as np
import pytest

from rethinker.types import About, Experience, Image, Outcome, Prompt, Rethought, Rollout, Verdict

MakeGroup = Callable[..., list[Experience]]


def _group(problem_id: str, *, image: Image | None = None, samples: int = 3, rethought: int | None = None):
    prompt = Prompt(
        problem_id=problem_id,
        token_ids=np.arange(7, dtype=np.int64),
        images=() if image is None else (image,),
        text=f"<image>How many in {problem_id}?",
    )
    experiences = []
    for sample in range(samples):
        tokens = np.array([40 + sample, 9, 9, 2], dtype=np.int64)
        rollout = Rollout(
            prompt=prompt,
            sample=sample,
            token_ids=tokens,
            logprobs=np.array([-0.1, -1e-8, -2.5, 0.0], dtype=np.float32),
            forced=np.zeros(4, dtype=bool),
            text=f"Perhaps {sample}.\n\\boxed{{{sample}}} π",
            finish_reason="stop",
            policy_version=3,
            verdict=Verdict(outcome=Outcome.WRONG, reward=0.0, extracted=str(sample)),
        )
        if sample == rethought:
            rollout = Rethought(
                prompt=prompt,
                sample=sample,
                token_ids=tokens,
                logprobs=rollout.logprobs,
                forced=np.array([False, True, True, False]),
                text=rollout.text + " Wait, does it seem right? \\boxed{7}",
                finish_reason="stop",
                policy_version=3,
                verdict=Verdict(outcome=Outcome.OK, reward=1.0, extracted="7", detail="because"),
                first=rollout,
                trigger="\n\nWait, does it seem right?",
                trigger_span=(1, 3),
            )
        weights = np.full(4, 0.25, dtype=np.float32)
        experiences.append(
            Experience(
                rollout=rollout,
                advantage=0.5 - sample,
                rl=weights,
                imitation=weights * 0,
                about=About(question="<image>How many?", answer="7", category="counting", source="made"),
            )
        )
    return experiences


@pytest.fixture
def make_group() -> MakeGroup:
    return _group


@pytest.fixture
def make_image() -> Callable[[int], Image]:
    """Noise, so that a PNG of it is no smaller than its pixels."""

    def make(seed: int, side: int = 32) -> Image:
        return Image(pixels=np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))

    return make
