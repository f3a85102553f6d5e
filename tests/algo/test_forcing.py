import re
from collections import Counter
from pathlib import Path

import pytest
from tests.algo.making import PROMPT, group, rethought, rollout

from rethinker.algo.forcing import TRIGGERS, eligible, forced_samples, keep, trigger_category, with_kept
from rethinker.config import ForcedRethinkConfig

ALGORITHM = Path(__file__).parents[3] / "shared" / "ALGORITHM.md"


def test_triggers_are_the_configurations_categories():
    assert tuple(TRIGGERS) == ForcedRethinkConfig().categories


@pytest.mark.skipif(not ALGORITHM.exists(), reason="shared/ALGORITHM.md is not beside the checkout")
def test_triggers_are_the_specifications_texts():
    printed = re.findall(r'self-(\w+)\s+"(\\n\\nWait[^"]*)"', ALGORITHM.read_text())
    assert {f"self_{name}": text.replace("\\n", "\n") for name, text in printed} == TRIGGERS


def test_only_a_response_that_ended_is_eligible():
    assert eligible(rollout(length=3), 1000)
    assert not eligible(rollout(length=3, finish="length"), 1000)


def test_a_response_is_eligible_up_to_the_room_without_its_end_token():
    taken = len(PROMPT.token_ids) + 3 - 1
    assert eligible(rollout(length=3), taken)
    assert not eligible(rollout(length=3), taken - 1)


def test_share_zero_forces_none_and_share_one_all():
    assert forced_samples(0, 0, "p1", range(50), 0.0) == []
    assert forced_samples(0, 0, "p1", range(50), 1.0) == list(range(50))


def test_about_the_share_of_the_responses_is_forced():
    forced = sum(len(forced_samples(0, 0, f"p{n}", range(8), 0.65)) for n in range(500))
    assert forced / 4000 == pytest.approx(0.65, abs=0.02)


def test_whether_a_sample_is_forced_depends_on_itself_alone():
    together = set(forced_samples(0, 3, "p1", range(8), 0.5))
    alone = {sample for sample in range(8) if forced_samples(0, 3, "p1", [sample], 0.5)}
    assert together == alone


@pytest.mark.parametrize("changed", [(1, 0, "p1"), (0, 1, "p1"), (0, 0, "p2")])
def test_forcing_changes_with_seed_episode_and_problem(changed):
    assert forced_samples(0, 0, "p1", range(64), 0.5) != forced_samples(*changed, range(64), 0.5)


def test_trigger_categories_are_drawn_uniformly_and_repeatably():
    def drawn():
        return [trigger_category(0, 0, f"p{n}", sample, tuple(TRIGGERS)) for n in range(400) for sample in range(3)]

    counts = Counter(drawn())
    assert drawn() == drawn()
    assert [counts[category] / 1200 for category in TRIGGERS] == pytest.approx([1 / 3] * 3, abs=0.05)


def test_a_single_configured_category_is_always_drawn():
    assert {trigger_category(0, 0, "p1", n, ["self_correction"]) for n in range(20)} == {"self_correction"}


def look(sample, **changes):
    return rethought(first=rollout(sample=sample), **changes)


def test_only_right_second_looks_are_kept():
    assert [each.sample for each in keep([look(0, reward=0.0), look(1)], 2)] == [1]


def test_a_right_second_look_that_did_not_end_is_not_kept():
    assert keep([look(0, finish="length")], 2) == []


def test_the_lowest_samples_are_kept_whatever_order_they_finish_in():
    looks = [look(5), look(1), look(3), look(0, reward=0.0)]
    assert [each.sample for each in keep(looks, 2)] == [1, 3]


def test_nothing_is_kept_when_nothing_may_be():
    assert keep([look(0)], 0) == []


def test_a_kept_second_look_takes_the_place_of_its_first_response():
    firsts = [rollout(sample=sample) for sample in range(3)]
    kept = rethought(first=firsts[1])
    assert with_kept(group(firsts), [kept]).rollouts == (firsts[0], kept, firsts[2])


def test_without_kept_second_looks_a_group_stays_as_it_was():
    firsts = tuple(rollout(sample=sample) for sample in range(3))
    assert with_kept(group(firsts), []).rollouts == firsts
