"""What is reckoned is what torch counts, where nothing runs twice and nothing is padded."""

import pytest
import torch

import arms
import flops
import shapes
from passed import Passed
from work import Work, experiences, grids

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


@pytest.fixture(scope="module")
def update() -> tuple[dict[str, int], int, dict[str, int]]:
    """Counted operations, tokens passed, and the minimum for them."""
    vlm = shapes.load("toy", device="cpu", dtype="float32")
    (problem,) = WORK.problems(vlm.processor)
    prompt = vlm.encode(problem, "plain")
    chosen = experiences(prompt, [WORK.given_ids(0, sample) for sample in range(WORK.group)])
    learner = arms.learner(vlm, WORK)
    with Passed(vlm.module) as passed:
        counted = flops.counted(lambda: learner.update(chosen))
    group = flops.Grouped(prompt=80, grids=grids(problem, vlm.processor), responses=(8, 8, 8))
    return counted, passed.trained_tokens, flops.minimum(vlm.module, [group], tokens=passed.trained_tokens)


def test_a_shared_prompt_passes_once(update: tuple[dict[str, int], int, dict[str, int]]) -> None:
    assert 80 + 3 * 7 <= update[1] <= 80 + 3 * 8


def test_products_with_weights_are_what_torch_counts(update: tuple[dict[str, int], int, dict[str, int]]) -> None:
    counted, _, minimum = update
    with_weights = sum(n for name, n in counted.items() if name.startswith(("aten.mm", "aten.addmm", "aten.conv")))
    reckoned = minimum["language"] + minimum["output"] + minimum["tower"]
    # A thousandth of room: gradients of shared keys may be added up by a product too.
    assert reckoned <= with_weights <= 1.001 * reckoned


def test_attention_is_counted_and_its_minimum_is_below(update: tuple[dict[str, int], int, dict[str, int]]) -> None:
    counted, _, minimum = update
    attention = sum(n for name, n in counted.items() if "attention" in name or "bmm" in name)
    assert 0 < minimum["language attention"] + minimum["tower attention"] <= attention


def test_attention_pairs_are_those_that_see_each_other() -> None:
    module, _ = shapes.parts("toy", device="meta", dtype="float32")
    parts = flops.minimum(module, [flops.Grouped(prompt=2, grids=((4, 12),), responses=(3,))], tokens=0)
    text, vision = module.config.text_config, module.config.vision_config
    assert parts["language attention"] == 12 * (3 + 3 * 2 + 6) * text.hidden_size * text.num_hidden_layers
    # A window has 8 × 8 patches: 12 fall into 8 and 4. One layer of three sees the whole image.
    pairs = 48**2 + 2 * ((4 * 8) ** 2 + (4 * 4) ** 2)
    assert parts["tower attention"] == 12 * pairs * vision.hidden_size


def test_responses_apart_bring_their_prompts_along() -> None:
    group = flops.Grouped(prompt=9, grids=((4, 4),), responses=(3, 5))
    assert flops.least_tokens([group]) == 9 + 2 + 4
    assert flops.least_tokens(flops.apart([group])) == 9 + 2 + 9 + 4


def test_what_is_recomputed_passes_once(update: tuple[dict[str, int], int, dict[str, int]]) -> None:
    vlm = shapes.load("toy", device="cpu", dtype="float32")
    (problem,) = WORK.problems(vlm.processor)
    prompt = vlm.encode(problem, "plain")
    arms.recompute_activations(vlm.module)
    learner = arms.learner(vlm, WORK)
    with Passed(vlm.module) as passed:
        learner.update(experiences(prompt, [WORK.given_ids(0, sample) for sample in range(WORK.group)]))
    assert passed.trained_tokens == update[1]


@pytest.mark.parametrize(("model", "billions"), [("3B", 3.75), ("7B", 8.29)])
def test_real_shapes_have_the_published_size(model: str, billions: float) -> None:
    module, _ = shapes.parts(model, device="meta", dtype="bfloat16")
    assert sum(each.numel() for each in module.parameters()) / 1e9 == pytest.approx(billions, abs=0.01)
    assert all(each.dtype is torch.bfloat16 for each in module.parameters())
