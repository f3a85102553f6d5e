from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests import plain
from tests.learner.given import experience

from rethinker.learner.collate import collate
from rethinker.learner.micro_batches import Row, micro_batches, rows, split
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


def length(row: Row) -> float:
    return float(row.length)


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
    batches = micro_batches(packed, cost=length, token_budget=budget)
    assert counted([row for batch in batches for row in batch]) == counted(packed)
    for batch in batches:
        single = len(batch) == 1 and len(batch[0].experiences) == 1
        assert sum(row.length for row in batch) <= budget or single


def test_a_row_over_the_budget_is_split_between_its_responses() -> None:
    prompt = prompt_of(10)
    chosen = [experience(prompt, sample=n, length=20, advantage=0.5) for n in range(4)]
    batches = micro_batches(rows(chosen), cost=length, token_budget=50)
    assert [[len(row.experiences) for row in batch] for batch in batches] == [[2], [2]]


@given(st.lists(st.integers(20, 60), min_size=8, max_size=60), st.integers(150, 600))
def test_micro_batches_are_few_and_cost_about_the_same(lengths: list[int], budget: int) -> None:
    prompt_tokens = 10
    made = [
        experience(prompt_of(prompt_tokens, str(n)), sample=0, length=tokens, advantage=0.5)
        for n, tokens in enumerate(lengths)
    ]
    batches = micro_batches(rows(made), cost=length, token_budget=budget)
    tokens = sum(lengths) + prompt_tokens * len(lengths)
    longest = max(lengths) + prompt_tokens
    assert len(batches) <= -(-tokens // (budget - longest))
    costs = [sum(row.length for row in batch) for batch in batches]
    assert max(costs) - min(costs) <= 2 * longest


def test_rows_of_like_length_stay_together_so_that_attention_pads_little(tiny_vlm: VLM) -> None:
    """Where all lengths between 16 and 300 come, as they do in training."""
    told = plain.some_prompts(tiny_vlm)[1]
    rng = np.random.default_rng(0)
    made = [
        experience(
            Prompt(problem_id=str(n), token_ids=told.token_ids, images=(), text=told.text),
            sample=sample,
            length=int(rng.integers(16, 300)),
            advantage=0.5,
        )
        for n in range(8)
        for sample in range(8)
    ]
    cut = split(made, tiny_vlm, share_prompts=True, token_budget=4096)
    batches = [collate(micro, tiny_vlm, policy_version=0) for micro in cut]
    assert len(batches) > 2
    assert sum(batch.padding for batch in batches) < 0.1 * sum(batch.slots for batch in batches)


def test_images_and_long_responses_cost_more_than_their_tokens(tiny_vlm: VLM) -> None:
    seen, told, two = plain.some_prompts(tiny_vlm)
    assert tiny_vlm.cost(told, []) > len(told.token_ids)  # attention
    assert tiny_vlm.cost(two, []) - len(two.token_ids) > tiny_vlm.cost(told, []) - len(told.token_ids)
    one_long, two_short = tiny_vlm.cost(seen, [200]), tiny_vlm.cost(seen, [100, 100])
    assert one_long > two_short
