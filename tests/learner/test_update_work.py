"""What an update costs, in counted work: seconds differ from machine to machine, these numbers may not grow."""

from dataclasses import asdict

import pytest
import torch
from tests import plain
from tests.counted_work import Counted, Counts
from tests.learner.given import experience, learner

from benchmarks import shapes
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.vlm import VLM
from rethinker.types import Experience

GROUP, LENGTH = 8, 20
FLOAT32 = 4


@pytest.fixture(scope="module")
def chosen(tiny_vlm: VLM) -> list[Experience]:
    """Eight responses each to one image, to text alone, and to two images."""
    return [
        experience(prompt, sample=sample, length=LENGTH, advantage=0.5)
        for prompt in plain.some_prompts(tiny_vlm)
        for sample in range(GROUP)
    ]


def tokens_of(chosen: list[Experience]) -> int:
    prompts = {id(e.rollout.prompt): len(e.rollout.prompt.token_ids) for e in chosen}
    return sum(prompts.values()) + sum(len(e.rollout.token_ids) for e in chosen)


def of_update(vlm: VLM, chosen: list[Experience], **settings: float | bool) -> Counts:
    made = learner(vlm, **settings)
    with Counted(made.vlm) as counted:
        made.update(chosen)
    return counted.counts


def test_every_prompt_and_image_and_token_passes_once_in_one_forward(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    counts = of_update(tiny_vlm, chosen)
    assert (counts.forwards, counts.towers, counts.images) == (1, 1, 3)
    assert counts.tokens == tokens_of(chosen)
    assert counts.score_bytes == 3 * GROUP * LENGTH * tiny_vlm.vocabulary * FLOAT32


def test_without_sharing_a_prompt_and_its_images_pass_once_a_response(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    counts = of_update(tiny_vlm, chosen, share_prompts=False)
    assert counts.images == 3 * GROUP
    assert counts.tokens == sum(len(e.rollout.prompt.token_ids) + LENGTH for e in chosen)


def test_micro_batches_repeat_nothing_but_the_prompts_that_they_cut(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    whole = tokens_of(chosen)
    counts = of_update(tiny_vlm, chosen, micro_batch_tokens=whole // 2)
    assert counts.forwards <= 3
    assert counts.images <= 3 + 2  # a row that is cut brings its images along
    longest = max(len(e.rollout.prompt.token_ids) for e in chosen)
    assert counts.tokens <= whole + 2 * longest


def test_a_response_that_was_drawn_often_passes_once(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    assert asdict(of_update(tiny_vlm, chosen * 4)) == asdict(of_update(tiny_vlm, chosen))


def test_no_second_forward_asks_for_log_probs_that_the_engine_gave(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    made = learner(tiny_vlm)
    made.policy_synced(1)
    with Counted(made.vlm) as counted:
        made.update(chosen)
        made.update(chosen)
    assert counted.counts.forwards == 2


def test_a_reference_costs_one_more_forward(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    made = learner(tiny_vlm, reference=tiny_vlm, kl=0.1)
    with Counted(tiny_vlm) as of_reference, Counted(made.vlm) as of_policy:
        made.update(chosen)
    assert (of_reference.counts.forwards, of_policy.counts.forwards) == (1, 1)


def test_a_vocabulary_of_150_000_is_never_held_at_every_token() -> None:
    """Its scores at all 1,024 response tokens are 622 MB; autograd would hold them several times."""
    vlm = shapes.load("toy", device="cpu", dtype="float32", vocabulary=151_936)
    told = plain.some_prompts(vlm)[1]
    chosen = [experience(told, sample=n, length=256, advantage=0.5) for n in range(4)]
    made = PolicyLearner(vlm, objective=Objective(), optimisation=Optimisation(steps=2, lr=1e-3))
    at_every_token = 1024 * vlm.vocabulary * FLOAT32
    held: dict[int, int] = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with Counted(vlm) as counted, torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        made.update(chosen)
    assert counted.counts.score_bytes == 2 * at_every_token  # once more in the backward pass, a chunk at a time
    assert counted.counts.most_score_bytes <= 64_000_000
    weights = {weight.untyped_storage().data_ptr() for weight in vlm.module.parameters()}
    assert sum(size for place, size in held.items() if place not in weights) < 0.1 * at_every_token
