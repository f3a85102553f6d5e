from __future__ import annotations

from dataclasses import replace

import pytest

from rethinker.planning.architecture import read
from rethinker.planning.compute import GENERATION_MFU, LEARNER_MFU, Step, estimate
from rethinker.planning.shapes import Architecture

STEP = Step(prompts=64, prompt_tokens=1024, image_tokens=640, responses=512, response_tokens=512)


@pytest.fixture(scope="module")
def seven() -> Architecture:
    return read("Qwen/Qwen2.5-VL-7B-Instruct", lambda module: None)


def seconds(
    model: Architecture, step: Step = STEP, *, checkpointed: bool = False, gpus: int = 8
) -> tuple[float, float]:
    found = estimate(model, step, checkpointed=checkpointed, gpus=gpus, peak=989e12, group_size=8)
    return found.learning, found.generating


def test_learning_is_six_operations_per_weight_and_token_and_a_little_more(seven: Architecture) -> None:
    text = replace(seven, vision=None)
    blocks = seven.language.layers * seven.language.weights
    plain = 6 * blocks * STEP.learned_tokens / (8 * 989e12 * LEARNER_MFU)
    assert 1.0 < seconds(text)[0] / plain < 1.25  # attention, and the output layer over the responses


def test_generation_is_two_operations_per_weight_and_token_at_a_lower_rate(seven: Architecture) -> None:
    text = replace(seven, vision=None)
    tokens = STEP.sampled_tokens + 64 * STEP.prompt_tokens
    plain = 2 * seven.language.layers * seven.language.weights * tokens / (8 * 989e12 * GENERATION_MFU)
    assert 1.0 < seconds(text)[1] / plain < 1.25


def test_checkpointing_costs_a_third_adapters_save_one_and_gpus_share(seven: Architecture) -> None:
    text = replace(seven, vision=None)
    lora = replace(text, language=replace(text.language, trained=False, adapted=((3584, 16),)))
    assert 1.28 < seconds(text, checkpointed=True)[0] / seconds(text)[0] < 4 / 3
    assert 2 / 3 < seconds(lora)[0] / seconds(text)[0] < 0.72
    assert seconds(text, gpus=16)[0] == pytest.approx(seconds(text)[0] / 2)


def test_second_looks_are_sampled_and_not_learned_twice(seven: Architecture) -> None:
    looking = replace(STEP, looks=300.0, look_tokens=256)
    assert looking.sampled_tokens == STEP.sampled_tokens + 300 * 256
    assert seconds(seven, looking)[0] == seconds(seven)[0]
    assert seconds(seven, looking)[1] > seconds(seven)[1]
