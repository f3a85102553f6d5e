from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models import toys
from tests.models.checks import learner_logprobs, problem, sampled, subject
from tests.models.two_ranks import run

from rethinker.models.vlm import VLM

SECONDS = 600
"""A hang is told from a slow machine only by waiting."""


@pytest.mark.parametrize("name", ["Qwen2.5-VL", "Qwen3-VL", "InternVL3", "Gemma 3", "LLaVA-OneVision", "SmolVLM2"])
def test_a_blank_image_passes_the_tower_and_changes_nothing(name: str) -> None:
    vlm = VLM(*toys.build(name), blank_image=True)
    told = [e for e in subject(name).experiences if not e.rollout.prompt.images]
    parts = learner_logprobs(vlm, told)
    with torch.no_grad():
        wanted = learner_logprobs(subject(name).vlm, told)
    assert all((left - right).abs().max() < 1e-5 for left, right in zip(parts, wanted, strict=True))
    torch.cat(parts).sum().backward()
    features = vlm.module.base_model.get_image_features(**vlm.vision([vlm.blank])).pooler_output
    reached = torch.autograd.grad(
        sum(part.sum() for part in ([features] if isinstance(features, torch.Tensor) else features)),
        list(vlm.module.parameters()),
        allow_unused=True,
    )
    for weight, grad in zip(vlm.module.parameters(), reached, strict=True):
        if grad is not None:
            assert weight.grad is not None  # the pass reached it


def test_a_batch_with_images_gets_no_blank_one() -> None:
    vlm = VLM(*toys.build("Qwen2.5-VL"), blank_image=True)
    mixed = subject("Qwen2.5-VL").experiences
    with torch.no_grad():
        left, right = (torch.cat(learner_logprobs(each, mixed)) for each in (vlm, subject("Qwen2.5-VL").vlm))
    assert left.equal(right)


@pytest.mark.parametrize("names", [("told",), ("told", "one")])
def test_the_tower_is_called_once_where_prompts_are_read_to_go_on_from(names: tuple[str, ...]) -> None:
    vlm = VLM(*toys.build("Qwen2.5-VL"), blank_image=True)
    calls: list[None] = []
    vlm.module.model.visual.register_forward_hook(lambda *_: calls.append(None))
    found, wanted = (
        sampled(each, [each.encode(problem(name), "plain") for name in names])
        for each in (vlm, subject("Qwen2.5-VL").vlm)
    )
    assert len(calls) == 1
    for (_, left), (_, right) in zip(found, wanted, strict=True):
        assert left.token_ids.tolist() == right.token_ids.tolist()
        assert np.abs(left.logprobs - right.logprobs).max() < 1e-5


def test_ranks_with_and_without_images_neither_hang_nor_differ_from_one_process(tmp_path: Path) -> None:
    context = get_context("spawn")
    ranks = [context.Process(target=run, args=(rank, str(tmp_path))) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(SECONDS)
    hung = [rank for rank in ranks if rank.is_alive()]
    for rank in hung:
        rank.kill()
    assert not hung
    assert [rank.exitcode for rank in ranks] == [0, 0]
    assert all(float((tmp_path / str(rank)).read_text(encoding="utf-8")) < 1e-3 for rank in range(2))
