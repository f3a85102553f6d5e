"""What the arms of a benchmark are given: a model, problems, and how long the responses are. The same in every arm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isqrt
from typing import Any

import numpy as np
from PIL.Image import fromarray

from rethinker.data.gym.catalogue import GymId, problem
from rethinker.models.templates import messages
from rethinker.types import IMAGE_MARK, Experience, Image, Outcome, Problem, Prompt, Rollout, Verdict

FAMILIES = ("counting", "bars")
TOKEN_SIDE = 28
"""Pixels to a side of what becomes one token in a Qwen2.5-VL: 2 × 2 patches of 14."""
FILLER = "7"
"""A digit is a token of its own, whatever stands beside it."""
GIVEN_IDS = (20, 400)
"""Range of the ids of given responses: ordinary tokens of the toy tokenizer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one step does.

    Attributes:
        model: `tiny` for the embedded model, or a name of `shapes.SHAPES` for random weights of that shape.
        scratch: Where an arm may put what it must.
        prompts: Prompts of a step.
        group: Responses to each.
        images: Images of each prompt.
        prompt_tokens: Length of each prompt, images included; 0 for gym problems as they are.
        image_tokens: Of these, tokens of images, where `prompt_tokens` is set.
        least: Fewest tokens of a response.
        most: Most tokens of a response.
        given: The responses are given, and the update alone is timed.
        rows: Rows that pass trl's learner at once.
        checkpointing: Whether the learner recomputes activations.
        micro_batch_tokens: Tokens that pass our learner at once.
        steps: Steps that will be asked for, at most.
    """

    model: str = "tiny"
    device: str = "cpu"
    dtype: str = "float32"
    scratch: str = ""
    prompts: int = 16
    group: int = 8
    images: int = 1
    prompt_tokens: int = 0
    image_tokens: int = 0
    least: int
    most: int
    given: bool = False
    rows: int = 32
    checkpointing: bool = False
    micro_batch_tokens: int = 4096
    threads: int = 1
    steps: int = 1

    def stated(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, stated: str) -> Work:
        """From JSON."""
        return cls(**json.loads(stated))

    def problems(self, processor: Any) -> list[Problem]:
        """The problems of every step."""
        if self.prompt_tokens:
            return [filled(number, self, processor) for number in range(self.prompts)]
        return [gym(number, self.images) for number in range(self.prompts)]

    def lengths(self, number: int) -> list[list[int]]:
        """How long each response to each prompt is in step `number`: uniform from `least` to `most`."""
        drawn = np.random.default_rng([self.least, self.most, number]).integers(
            self.least, self.most, (self.prompts, self.group), endpoint=True
        )
        return [[int(length) for length in row] for row in drawn]

    def given_ids(self, prompt: int, sample: int) -> list[int]:
        """The response that is given, always of the greatest length."""
        drawn = np.random.default_rng([prompt, sample]).integers(*GIVEN_IDS, self.most)
        return [int(i) for i in drawn]


def gym(number: int, images: int) -> Problem:
    """A gym problem; with several images, those of as many problems, and a question about the last."""
    parts = [
        problem(GymId(family=FAMILIES[index % len(FAMILIES)], level=1, split="train", index=index))
        for index in ([number] if images == 1 else range(images * number, images * (number + 1)))
    ]
    if images == 1:
        return parts[0]
    asked = parts[-1].question.replace(IMAGE_MARK, "").strip()
    return Problem(
        id=f"several/{number}",
        images=tuple(image for part in parts for image in part.images),
        question=f"{IMAGE_MARK * images}About the last picture: {asked}",
        answer=parts[-1].answer,
        verifier=parts[-1].verifier,
        choices=parts[-1].choices,
    )


def filled(number: int, work: Work, processor: Any) -> Problem:
    """A problem whose prompt has exactly `prompt_tokens` tokens, `image_tokens` of them in images of noise.

    Raises:
        ValueError: so few tokens hold neither the images nor the template.
    """
    images = tuple(_noise(number, index, work.image_tokens // work.images) for index in range(work.images))
    bare = _asking(number, images, 0)
    room = work.prompt_tokens - prompt_length(bare, processor)
    if room < 0:
        raise ValueError(f"a prompt of {work.prompt_tokens} tokens is {-room} too short for its images and template")
    return _asking(number, images, room)


def _asking(number: int, images: tuple[Image, ...], digits: int) -> Problem:
    return Problem(
        id=f"filled/{number}",
        images=images,
        question=IMAGE_MARK * len(images) + FILLER * digits,
        answer="1",
        verifier="number",
    )


def _noise(number: int, index: int, tokens: int) -> Image:
    """An image of so many tokens, as near to a square as it goes."""
    high = next(side for side in range(isqrt(tokens), 0, -1) if tokens % side == 0)
    shape = (high * TOKEN_SIDE, tokens // high * TOKEN_SIDE, 3)
    return Image(pixels=np.random.default_rng([number, index]).integers(0, 256, shape, dtype=np.uint8))


def rendered(asked: Problem, processor: Any) -> str:
    """A problem's prompt as text, with one placeholder per image."""
    text: str = processor.tokenizer.apply_chat_template(
        messages(asked.question, "plain"),
        chat_template=processor.chat_template,
        tokenize=False,
        add_generation_prompt=True,
    )
    return text


def pictures(asked: Problem) -> list[Any]:
    """A problem's images as Pillow's."""
    return [fromarray(image.pixels) for image in asked.images]


def prompt_length(asked: Problem, processor: Any) -> int:
    """Tokens of a problem's prompt."""
    images = pictures(asked)
    return len(processor(text=[rendered(asked, processor)], images=[images] if images else None)["input_ids"][0])


def grids(asked: Problem, processor: Any) -> tuple[tuple[int, int], ...]:
    """Patches of each of a problem's images, (height, width)."""
    if not asked.images:
        return ()
    made = processor.image_processor(images=pictures(asked), return_tensors="np")["image_grid_thw"]
    return tuple((int(high), int(wide)) for _, high, wide in made)


def experiences(prompt: Prompt, responses: Sequence[Sequence[int]]) -> list[Experience]:
    """Given responses to one prompt as the learner takes them: advantages of both signs, sequence mean."""
    made = []
    for sample, ids in enumerate(responses):
        length = len(ids)
        zeros = np.zeros(length, dtype=np.float32)
        reward = float(sample % 2)
        rollout = Rollout(
            prompt=prompt,
            sample=sample,
            token_ids=np.array(ids, dtype=np.int64),
            logprobs=zeros - 6,
            forced=np.zeros(length, dtype=np.bool_),
            text="",
            finish_reason="length",
            policy_version=0,
            verdict=Verdict(outcome=Outcome.OK if reward else Outcome.WRONG, reward=reward, extracted=None),
        )
        made.append(
            Experience(rollout=rollout, advantage=reward - 0.5, rl=zeros + np.float32(1 / length), imitation=zeros)
        )
    return made
