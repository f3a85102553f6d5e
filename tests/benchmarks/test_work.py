import numpy as np
import pytest

import shapes
from rethinker.models.vlm import VLM
from work import Work, experiences, filled, grids


def work(**changed: object) -> Work:
    return Work(**{"prompts": 3, "group": 2, "least": 2, "most": 6} | changed)


def test_work_goes_to_a_process_and_back() -> None:
    assert Work.read(work(images=4).stated()) == work(images=4)


@pytest.mark.parametrize("images", [1, 4])
def test_gym_problems_differ_and_have_the_images_asked_for(tiny_vlm: VLM, images: int) -> None:
    problems = work(prompts=16, images=images).problems(tiny_vlm.processor)
    assert len({each.id for each in problems}) == 16
    assert all(len(each.images) == images for each in problems)
    assert len({image.id for each in problems for image in each.images}) == 16 * images


def test_a_filled_prompt_has_exactly_the_tokens_asked_for(tiny_vlm: VLM) -> None:
    asked = work(prompt_tokens=120, image_tokens=30, images=2)
    processor = shapes.processor()
    vlm = type(tiny_vlm)(tiny_vlm.module, processor)
    for problem in asked.problems(processor):
        ids = vlm.encode(problem, "plain").token_ids
        assert len(ids) == 120
        assert int((ids == tiny_vlm.module.config.image_token_id).sum()) == 30
        assert grids(problem, processor) == ((6, 10), (6, 10))


def test_a_prompt_too_short_for_its_images_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        filled(0, work(prompt_tokens=20, image_tokens=16), shapes.processor())


def test_lengths_are_unequal_within_bounds_and_the_same_for_all_arms() -> None:
    drawn = np.array(work(prompts=16, group=8, least=16, most=128).lengths(3))
    assert drawn.shape == (16, 8)
    assert 16 <= drawn.min() < 32
    assert 112 < drawn.max() <= 128
    assert (drawn == np.array(work(prompts=16, group=8, least=16, most=128).lengths(3))).all()
    assert (drawn != np.array(work(prompts=16, group=8, least=16, most=128).lengths(4))).any()


def test_given_responses_carry_both_signs_and_a_sequence_mean(tiny_vlm: VLM) -> None:
    asked = work()
    prompt = tiny_vlm.encode(asked.problems(tiny_vlm.processor)[0], "plain")
    made = experiences(prompt, [asked.given_ids(0, sample) for sample in range(2)])
    assert [each.advantage for each in made] == [-0.5, 0.5]
    assert all(each.rl.sum() == pytest.approx(1) and len(each.rl) == 6 for each in made)
    assert not set(tiny_vlm.forbidden_ids) & {int(i) for each in made for i in each.rollout.token_ids}
