from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests import plain
from tests.learner.given import experience

from rethinker.learner.collate import Row, collate, micro_batches, rows
from rethinker.models.vlm import VLM
from rethinker.types import Experience, Prompt


def prompt_of(length: int, name: str = "p") -> Prompt:
    return Prompt(problem_id=name, token_ids=np.full(length, 30), images=(), text="")


@st.composite
def choices(draw: st.DrawFn) -> list[Experience]:
    """Experiences of a few prompts, some drawn several times."""
    prompts = [prompt_of(draw(st.integers(1, 40)), str(n)) for n in range(draw(st.integers(1, 4)))]
    made = [
        experience(draw(st.sampled_from(prompts)), sample=n, length=draw(st.integers(1, 30)), advantage=0.5)
        for n in range(draw(st.integers(1, 12)))
    ]
    return draw(st.lists(st.sampled_from(made), min_size=1, max_size=20))


def counted(packed: list[Row]) -> Counter[int]:
    return Counter({id(e): n for row in packed for e, n in zip(row.experiences, row.times, strict=True)})


@given(choices())
def test_rows_hold_every_choice_as_often_as_it_was_made(chosen: list[Experience]) -> None:
    for share in (True, False):
        packed = rows(chosen, share_prompts=share)
        assert counted(packed) == Counter(map(id, chosen))
        assert all(e.rollout.prompt is row.prompt for row in packed for e in row.experiences)
    assert len(rows(chosen)) == len({id(e.rollout.prompt) for e in chosen})
    assert len(rows(chosen, share_prompts=False)) == len(set(map(id, chosen)))


@given(choices(), st.integers(1, 200))
def test_micro_batches_hold_every_experience_once_and_keep_the_budget(chosen: list[Experience], budget: int) -> None:
    packed = rows(chosen)
    batches = micro_batches(packed, token_budget=budget)
    assert counted([row for batch in batches for row in batch]) == counted(packed)
    for batch in batches:
        single = len(batch) == 1 and len(batch[0].experiences) == 1
        assert sum(row.length for row in batch) <= budget or single


def test_a_row_over_the_budget_is_split_between_its_responses() -> None:
    prompt = prompt_of(10)
    chosen = [experience(prompt, sample=n, length=20, advantage=0.5) for n in range(4)]
    batches = micro_batches(rows(chosen), token_budget=50)
    assert [[len(row.experiences) for row in batch] for batch in batches] == [[2], [2]]


def test_prompts_stand_once_and_before_all_responses(tiny_vlm: VLM) -> None:
    first, second, _ = plain.some_prompts(tiny_vlm)
    chosen = [experience(p, sample=n, length=4 + n, advantage=0.5) for n, p in enumerate((first, second, first))]
    batch = collate(rows(chosen), tiny_vlm, policy_version=0)
    in_order = [chosen[0], chosen[2], chosen[1]]
    wanted = [first.token_ids, second.token_ids, *(e.rollout.token_ids for e in in_order)]
    assert batch.line.input_ids[0].tolist() == np.concatenate(wanted).tolist()
    assert batch.targets.tolist() == np.concatenate(wanted[2:]).tolist()
    assert batch.padding == 0  # no two rows are of like length


def test_a_token_is_predicted_by_the_one_before_it_or_by_its_prompts_last(tiny_vlm: VLM) -> None:
    first, second, _ = plain.some_prompts(tiny_vlm)
    chosen = [experience(p, sample=n, length=3, advantage=0.5) for n, p in enumerate((first, first, second))]
    batch = collate(rows(chosen), tiny_vlm, policy_version=0)
    a, b = len(first.token_ids), len(second.token_ids)
    end = a + b
    assert batch.line.sources.tolist() == [a - 1, end, end + 1, a - 1, end + 3, end + 4, end - 1, end + 6, end + 7]


def test_every_response_goes_on_where_its_prompt_ends(tiny_vlm: VLM) -> None:
    for prompt in plain.some_prompts(tiny_vlm):
        chosen = [experience(prompt, sample=n, length=5, advantage=0.5) for n in range(2)]
        positions = collate(rows(chosen), tiny_vlm, policy_version=0).line.positions
        start = int(tiny_vlm.positions(prompt).max()) + 1
        for response in positions[:, 0, len(prompt.token_ids) :].split(5, dim=1):
            assert response.tolist() == [[start + n for n in range(5)]] * 3


def test_an_experience_drawn_twice_stands_once_with_twice_the_weight(tiny_vlm: VLM) -> None:
    _, told, _ = plain.some_prompts(tiny_vlm)
    one, other = (experience(told, sample=n, length=6, advantage=0.5) for n in (1, 3))
    batch = collate(rows([one, other, one]), tiny_vlm, policy_version=0)
    assert torch.equal(batch.rl[:6], torch.from_numpy(2 * one.rl))
    assert torch.equal(batch.imitation[:6], torch.from_numpy(2 * one.imitation))
    assert torch.equal(batch.rl[6:], torch.from_numpy(other.rl))
    assert len(batch.targets) == 12


def test_images_come_in_the_order_of_their_prompts(tiny_vlm: VLM) -> None:
    first, told, two = plain.some_prompts(tiny_vlm)
    chosen = [experience(p, sample=n, length=3, advantage=0.5) for n, p in enumerate((two, told, first))]
    batch = collate(rows(chosen), tiny_vlm, policy_version=0)
    wanted = tiny_vlm.vision([two, first])
    assert torch.equal(batch.line.vision["pixel_values"], wanted["pixel_values"])
    placeholders = int((batch.line.input_ids == tiny_vlm.module.config.image_token_id).sum())
    assert 4 * placeholders == len(batch.line.vision["pixel_values"])


def test_samples_of_an_earlier_version_are_stale(tiny_vlm: VLM) -> None:
    _, told, _ = plain.some_prompts(tiny_vlm)
    chosen = [experience(told, sample=n, length=2, advantage=0.5, version=n) for n in (0, 1)]
    assert collate(rows(chosen), tiny_vlm, policy_version=1).stale.tolist() == [True, True, False, False]


def test_ids_that_are_never_sampled_are_refused_by_name(tiny_vlm: VLM) -> None:
    _, told, _ = plain.some_prompts(tiny_vlm)
    one = experience(told, sample=0, length=4, advantage=0.5)
    one.rollout.token_ids[2] = placeholder = tiny_vlm.module.config.image_token_id
    with pytest.raises(ValueError, match=rf"response to told holds ids that are never sampled: \[{placeholder}\]"):
        collate(rows([one]), tiny_vlm, policy_version=0)
