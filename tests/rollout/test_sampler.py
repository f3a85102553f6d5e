from __future__ import annotations

import pytest
from tests.rollout.scripted import ListStream, Say, ScriptedEngine, problem, sampler

from rethinker.data.quarantine import Quarantine
from rethinker.errors import DatasetError
from rethinker.interfaces import Request
from rethinker.models.vlm import VLM
from rethinker.types import Group


def ids(groups: tuple[Group, ...]) -> list[str]:
    return [group.problem.id for group in groups]


def mixed_for(names: str) -> Say:
    """Problems named so are answered right by their first sample alone, all others always wrong."""
    return lambda request, sample: f"\\boxed{{{3 if request.id in names and sample == 0 else 7}}}"


def always(request: Request, sample: int) -> str:
    return f"\\boxed{{{sample}}}"


def test_plain_takes_the_queries_as_they_come(tiny_vlm: VLM) -> None:
    stream = ListStream([problem(name) for name in "abcdef"])
    made = sampler(tiny_vlm, ScriptedEngine(tiny_vlm, always), stream, queries=3, group_size=4)
    first, second = made.sample(0), made.sample(1)
    assert (ids(first.groups), ids(second.groups)) == (["a", "b", "c"], ["d", "e", "f"])
    for group in first.groups:
        assert [rollout.sample for rollout in group.rollouts] == [0, 1, 2, 3]
        assert [rollout.verdict.extracted for rollout in group.rollouts] == ["0", "1", "2", "3"]
        assert group.rewards.tolist() == [0, 0, 0, 1]
        assert len({id(rollout.prompt) for rollout in group.rollouts}) == 1
    assert first.tokens == sum(len(r.token_ids) for group in first.groups for r in group.rollouts)
    assert {name: mean.value for name, mean in first.metrics.items()} == {"sampler/repeated": 0}


def test_every_sample_has_a_seed_of_its_own_keyed_by_episode_and_problem(tiny_vlm: VLM) -> None:
    engine = ScriptedEngine(tiny_vlm, always)
    made = sampler(tiny_vlm, engine, ListStream([problem("a"), problem("b")]))
    made.sample(0)
    made.sample(1)
    assert len({seed for request in engine.asked for seed in request.seeds}) == 8
    again = ScriptedEngine(tiny_vlm, always)
    sampler(tiny_vlm, again, ListStream([problem("b"), problem("a")])).sample(0)
    seeds = {request.id: request.seeds for request in engine.asked[:2]}
    assert {request.id: request.seeds for request in again.asked} == seeds


def test_dynamic_goes_on_until_enough_groups_are_mixed(tiny_vlm: VLM) -> None:
    stream = ListStream([problem(name) for name in "abcdefgh"])
    made = sampler(tiny_vlm, ScriptedEngine(tiny_vlm, mixed_for("bcf")), stream, rounds=4).sample(0)
    assert ids(made.groups) == ["b", "c"]
    assert stream.position == 4  # two rounds of two
    assert made.metrics["sampler/rounds"].value == 2
    assert (made.metrics["sampler/dropped"].sum, made.metrics["sampler/dropped"].count) == (2, 4)
    assert made.tokens == 2 * sum(len(r.token_ids) for group in made.groups for r in group.rollouts)


def test_dynamic_drops_mixed_groups_beyond_its_target(tiny_vlm: VLM) -> None:
    stream = ListStream([problem(name) for name in "abcdef"])
    made = sampler(tiny_vlm, ScriptedEngine(tiny_vlm, mixed_for("acd")), stream, rounds=3).sample(0)
    assert ids(made.groups) == ["a", "c"]
    assert made.metrics["sampler/dropped"].sum == 2


def test_dynamic_stops_at_its_cap_and_fills_with_the_latest_others(tiny_vlm: VLM) -> None:
    stream = ListStream([problem(name) for name in "abcdefghij"])
    made = sampler(tiny_vlm, ScriptedEngine(tiny_vlm, mixed_for("a")), stream, queries=3, rounds=3).sample(0)
    assert ids(made.groups) == ["a", "h", "i"]
    assert stream.position == 9
    assert made.metrics["sampler/rounds"].value == 3
    assert (made.metrics["sampler/dropped"].sum, made.metrics["sampler/dropped"].count) == (6, 9)


def test_rounds_of_one_episode_draw_under_keys_of_their_own(tiny_vlm: VLM) -> None:
    engine = ScriptedEngine(tiny_vlm, mixed_for(""))
    made = sampler(tiny_vlm, engine, ListStream([problem("a"), problem("b")]), rounds=2)
    made.sample(0)
    made.sample(1)
    assert len({request.seeds for request in engine.asked if request.id == "a"}) == 4


def test_groups_carry_the_round_that_keyed_them(tiny_vlm: VLM) -> None:
    made = sampler(
        tiny_vlm, ScriptedEngine(tiny_vlm, mixed_for("bc")), ListStream([problem(n) for n in "abcd"]), rounds=3
    )
    assert [(group.problem.id, group.round) for group in made.sample(1).groups] == [("b", 3), ("c", 4)]


def test_a_problem_whose_prompt_cannot_be_made_is_quarantined_and_replaced(tiny_vlm: VLM) -> None:
    long = problem("long", question="How many? " * 200)
    special = problem("special", question=f"How many {tiny_vlm.tokenizer.eos_token}?")
    quarantine = Quarantine(max_share=1.0)
    stream = ListStream([problem("a"), long, special, problem("b"), problem("c")])
    made = sampler(
        tiny_vlm, ScriptedEngine(tiny_vlm, always), stream, quarantine=quarantine, queries=3, max_prompt_tokens=150
    )
    assert ids(made.sample(0).groups) == ["a", "b", "c"]
    reasons = {row["id"]: row["reason"] for row in quarantine.rows()}
    assert set(reasons) == {"long", "special"}
    assert "prompt.max_tokens=150" in reasons["long"]
    assert "special token" in reasons["special"]


def test_a_problem_stands_once_in_a_round(tiny_vlm: VLM) -> None:
    stream = ListStream([problem("a"), problem("a"), problem("b"), problem("a"), problem("c")])
    made = sampler(tiny_vlm, ScriptedEngine(tiny_vlm, always), stream, queries=3)
    sampled = made.sample(0)
    assert ids(sampled.groups) == ["a", "b", "c"]
    assert sampled.metrics["sampler/repeated"].value == 2
    assert stream.position == 5  # those left out are not asked again in this epoch
    assert made.sample(1).metrics["sampler/repeated"].value == 2


def test_fewer_problems_than_queries_stop_the_run_instead_of_waiting_for_ever(tiny_vlm: VLM) -> None:
    made = sampler(tiny_vlm, ScriptedEngine(tiny_vlm, always), ListStream([problem("a"), problem("b")]), queries=3)
    with pytest.raises(DatasetError, match=r"sampler\.queries=3 different problems.*has 2 .*lower sampler\.queries"):
        made.sample(0)


def test_a_stream_of_prompts_that_are_all_too_long_stops_the_run(tiny_vlm: VLM) -> None:
    quarantine = Quarantine(max_share=1.0)
    engine = ScriptedEngine(tiny_vlm, always)
    made = sampler(tiny_vlm, engine, ListStream([problem("a")]), quarantine=quarantine, max_prompt_tokens=5)
    with pytest.raises(DatasetError, match=r"more than prompt\.max_tokens=5"):
        made.sample(0)
    assert engine.asked == []
