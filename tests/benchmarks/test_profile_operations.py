"""What a profile reckons an update to need is what the benchmarks reckon, by another way."""

import pytest

import flops
import shapes
from work import Work, grids

WORK = Work(
    model="toy",
    prompts=1,
    group=3,
    prompt_tokens=80,
    image_tokens=20,
    least=8,
    most=8,
    micro_batch_tokens=10_000,
    steps=3,
)


def test_operations_of_an_update_are_the_minimum_but_for_the_towers_attention() -> None:
    vlm = shapes.load("toy", device="cpu", dtype="float32")
    (problem,) = WORK.problems(vlm.processor)
    prompt = vlm.encode(problem, "plain")
    group = flops.Grouped(prompt=len(prompt.token_ids), grids=grids(problem, vlm.processor), responses=(8, 8, 8))
    minimum = flops.minimum(vlm.module, [group], tokens=len(prompt.token_ids) + 24)
    wanted = flops.total(minimum) - minimum["tower attention"]
    assert vlm.operations(prompt, [8, 8, 8]) == pytest.approx(wanted, rel=1e-3)


def test_frozen_weights_need_no_gradient_of_their_own() -> None:
    vlm = shapes.load("toy", device="cpu", dtype="float32")
    (problem,) = WORK.problems(vlm.processor)
    prompt = vlm.encode(problem, "plain")
    whole = vlm.operations(prompt, [8])
    frozen = shapes.load("toy", device="cpu", dtype="float32")
    frozen.module.get_encoder(modality="image").requires_grad_(False)
    frozen.module.get_decoder().requires_grad_(False)
    assert whole / 3 < frozen.operations(prompt, [8]) < whole / 2
