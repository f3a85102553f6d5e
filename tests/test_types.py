import dataclasses
from typing import Any

import numpy as np
import pytest

from rethinker.errors import DataError
from rethinker.types import (
    Experience,
    Group,
    Image,
    Mean,
    Outcome,
    Outline,
    Problem,
    Prompt,
    Rethought,
    Rollout,
    Verdict,
    merge,
)


def problem(**changes: Any) -> Problem:
    return Problem(**{"id": "p", "images": (), "question": "?", "answer": "1", "verifier": "number"} | changes)


def image(value: int = 0, shape: tuple[int, int] = (2, 3)) -> Image:
    return Image(pixels=np.full((*shape, 3), value, dtype=np.uint8))


def rollout(reward: float = 1.0, sample: int = 0) -> Rollout:
    prompt = Prompt(problem_id="p", token_ids=np.array([1, 2]), images=(), text="?")
    return Rollout(
        prompt=prompt,
        sample=sample,
        token_ids=np.array([3, 4]),
        logprobs=np.array([-0.1, -0.2], dtype=np.float32),
        forced=np.array([False, False]),
        text="a",
        finish_reason="stop",
        policy_version=0,
        verdict=Verdict(outcome=Outcome.OK if reward else Outcome.WRONG, reward=reward, extracted="1"),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ""}, "empty id"),
        ({"answer": "  "}, "problem p has no answer"),
        ({"question": "<image>?"}, "problem p has 0 images but 1 <image> marks"),
        ({"images": (image(),)}, "problem p has 1 images but 0 <image> marks"),
    ],
)
def test_a_problem_that_cannot_be_asked_or_verified_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        problem(**changes)


def test_an_images_id_is_of_its_shape_and_pixels() -> None:
    assert image().id == image().id
    assert len({image().id, image(1).id, image(shape=(3, 2)).id}) == 3
    upright = image(7).pixels
    assert Image(pixels=np.asfortranarray(upright)).id == image(7).id


def test_an_outline_has_a_mark_for_each_size() -> None:
    with pytest.raises(DataError, match="problem p has 1 images but 2 <image> marks"):
        Outline(id="p", question="<image> or <image>?", image_sizes=((2, 3),))


@pytest.mark.parametrize("noun", [Problem, Outline, Prompt, Rollout, Rethought, Group, Experience, Verdict, Mean])
def test_nouns_are_frozen_slotted_and_keyword_only(noun: type) -> None:
    assert noun.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in noun.__dict__
    assert all(field.kw_only for field in dataclasses.fields(noun))


def test_only_ok_is_correct() -> None:
    right = [outcome for outcome in Outcome if Verdict(outcome=outcome, reward=0.5, extracted=None).correct]
    assert right == [Outcome.OK]


def test_a_groups_rewards_are_in_sample_order() -> None:
    group = Group(problem=problem(), rollouts=(rollout(1.0, 0), rollout(0.0, 1), rollout(1.0, 2)))
    assert group.rewards.tolist() == [1.0, 0.0, 1.0]
    assert group.rewards.dtype == np.float32


def test_means_merge_by_their_counts_and_an_empty_one_has_no_value() -> None:
    merged = merge({"a": Mean(sum=1, count=2), "b": Mean(sum=3)}, {"a": Mean(sum=5, count=1)}, {})
    assert merged["a"].value == 2
    assert merged["b"].value == 3
    assert Mean(sum=0, count=0).value is None
    assert (Mean(sum=0, count=0) + Mean(sum=1, count=4)).value == 0.25
