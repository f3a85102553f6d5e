from collections import Counter

import pytest
from tests.algo.making import batch, experience, rethought, rollout

from rethinker.algo.replay import Filter, NoReplay, SelectiveSampleReplay


def ssr(**changes):
    return SelectiveSampleReplay(**{"seed": 0, "alpha": 1.0, "lifetime": 1, "capacity": 1000} | changes)


def values(replay):
    return {name: mean.value for name, mean in replay.metrics().items()}


def test_none_trains_on_the_raw_batch():
    raw = batch(0.5, 0.0, -0.5)
    assert NoReplay().select(raw, step=0) == raw


def test_filter_trains_on_the_effective_samples_in_order():
    raw = batch(0.5, 0.0, -0.5, 0.0)
    assert Filter().select(raw, step=0) == [raw[0], raw[2]]


def test_ssr_refills_the_batch_to_its_raw_size():
    replay, raw = ssr(), batch(0.5, 0.0, -0.5, 0.0, 0.0)
    chosen = replay.select(raw, step=0)
    assert len(chosen) == 5
    assert chosen[:2] == [raw[0], raw[2]]


def test_a_full_batch_draws_nothing():
    replay, raw = ssr(), batch(0.5, -0.5)
    replay.select(batch(0.75), step=0)
    assert replay.select(raw, step=1) == raw
    assert values(replay)["replay/drawn"] == 0


def test_a_current_sample_may_be_drawn_again():
    raw = batch(0.5, 0.0, 0.0)
    assert ssr().select(raw, step=0) == [raw[0]] * 3


def test_an_earlier_batch_of_the_episode_can_be_drawn():
    replay, earlier = ssr(), batch(0.5)
    replay.select(earlier, step=0)
    assert replay.select(batch(0.0, 0.0), step=1) == earlier * 2


@pytest.mark.parametrize("raw", [batch(), batch(0.0), batch(0.0, 0.0, 0.0)])
def test_empty_buffer_trains_on_what_there_is(raw):
    replay = ssr()
    assert replay.select(raw, step=0) == []
    assert values(replay)["replay/size"] == 0


def test_the_buffer_keeps_effective_samples_only():
    replay = ssr()
    replay.select(batch(0.5, 0.0, -0.25, 0.0), step=0)
    assert [each.advantage for each, _ in replay.state_dict()["experiences"]] == [0.5, -0.25]


def test_draws_do_not_enter_the_buffer_again():
    replay = ssr()
    replay.select(batch(0.5, *[0.0] * 50), step=0)
    assert values(replay)["replay/size"] == 1


def test_buffer_is_cleared_at_policy_sync():
    replay = ssr()
    replay.select(batch(0.5, -0.5), step=0)
    replay.policy_synced()
    assert replay.select(batch(0.0, 0.0), step=1) == []


def test_a_longer_lifetime_keeps_samples_for_that_many_episodes():
    replay, old = ssr(lifetime=3), batch(0.5)
    replay.select(old, step=0)
    for step in (1, 2):
        replay.policy_synced()
        assert replay.select(batch(0.0), step=step) == old
        assert values(replay)["replay/age_mean"] == step
    replay.policy_synced()
    assert replay.select(batch(0.0), step=3) == []


def test_beyond_its_capacity_the_buffer_forgets_the_oldest():
    replay, raw = ssr(capacity=2), batch(0.1, 0.2, 0.3)
    replay.select(raw[:2], step=0)
    replay.select(raw[2:], step=1)
    assert [each for each, _ in replay.state_dict()["experiences"]] == raw[1:]


def frequencies(replay, magnitudes, draws):
    replay.select(batch(*magnitudes), step=0)
    drawn = replay.select(batch(*[0.0] * draws), step=1)
    counted = Counter(abs(each.advantage) for each in drawn)
    return [counted[abs(magnitude)] / draws for magnitude in magnitudes]


def test_draws_are_proportional_to_advantage():
    assert frequencies(ssr(), [0.125, -0.25, 0.625], 40_000) == pytest.approx([0.125, 0.25, 0.625], abs=0.01)


def test_alpha_zero_draws_uniformly_and_alpha_two_by_the_square():
    assert frequencies(ssr(alpha=0.0), [0.1, -0.3, 0.6], 40_000) == pytest.approx([1 / 3] * 3, abs=0.01)
    assert frequencies(ssr(alpha=2.0), [0.25, -0.75], 40_000) == pytest.approx([0.1, 0.9], abs=0.01)


def test_a_very_sharp_alpha_draws_the_largest_and_does_not_underflow():
    assert frequencies(ssr(alpha=1000.0), [1e-3, 2e-3], 100) == [0.0, 1.0]


def test_draws_are_keyed_by_seed_and_step_alone():
    def drawn(*, seed=0, step=1):
        replay = ssr(seed=seed)
        replay.select(batch(*[n / 100 for n in range(1, 100)]), step=0)
        return [each.advantage for each in replay.select(batch(*[0.0] * 20), step=step)]

    assert drawn() == drawn()
    assert drawn() != drawn(step=2)
    assert drawn() != drawn(seed=1)


def test_a_restored_replay_goes_on_as_if_never_stopped():
    replay, restored = ssr(lifetime=2), ssr(lifetime=2)
    replay.select(batch(0.1, 0.2, 0.3), step=0)
    replay.policy_synced()
    replay.select(batch(0.4, 0.5), step=1)
    restored.load_state_dict(replay.state_dict())
    replay.policy_synced()
    restored.policy_synced()
    raw = batch(0.6, *[0.0] * 30)
    chosen = replay.select(raw, step=2)
    again = restored.select(raw, step=2)
    assert all(one is other for one, other in zip(chosen, again, strict=True))
    assert replay.metrics() == restored.metrics()


def test_restoring_replaces_what_was_stored():
    replay, saved = ssr(), batch(0.5)
    replay.select(saved, step=0)
    state = replay.state_dict()
    replay.select(batch(0.75), step=1)
    replay.load_state_dict(state)
    assert replay.select(batch(0.0, 0.0), step=2) == saved * 2


def test_saved_state_does_not_change_with_the_replay():
    replay = ssr()
    replay.select(batch(0.5), step=0)
    state = replay.state_dict()
    replay.select(batch(0.5), step=1)
    replay.policy_synced()
    assert state["episode"] == 0
    assert len(state["experiences"]) == 1


@pytest.mark.parametrize("replay", [ssr(), Filter()])
def test_kept_second_look_in_all_correct_group_is_dropped_and_counted(replay):
    look = rethought(first=rollout(reward=0))
    raw = [experience(0.0, of=look), experience(0.0), experience(0.5)]
    chosen = replay.select(raw, step=0)
    assert all(each.rollout is not look for each in chosen)
    assert values(replay)["replay/rethought_dropped"] == 1


def test_none_keeps_a_zero_advantage_second_look_and_its_imitation():
    replay, idle = NoReplay(), experience(0.0, of=rethought(first=rollout()))
    assert replay.select([idle], step=0) == [idle]
    assert values(replay)["replay/rethought_dropped"] == 0


def test_a_redraw_carries_its_imitation_weights_again():
    taught = experience(0.5, of=rethought(first=rollout()))
    chosen = ssr().select([taught, experience(0.0)], step=0)
    assert [each.imitation is taught.imitation for each in chosen] == [True, True]


def test_metrics_of_a_selection_are_what_happened():
    replay = ssr()
    replay.select(batch(0.5, -0.5, 0.0, 0.0, 0.0), step=0)
    measured = values(replay)
    assert measured["replay/effective"] == 0.4
    assert measured["replay/drawn"] == 3
    assert measured["replay/size"] == 2
    assert measured["replay/batch"] == 5
    assert measured["replay/age_mean"] == 0


@pytest.mark.parametrize("replay", [ssr(), Filter(), NoReplay()])
def test_a_mean_of_nothing_is_none_not_a_number(replay):
    replay.select([], step=0)
    measured = values(replay)
    assert measured["replay/effective"] is None
    assert measured["replay/age_mean"] is None
    assert measured["replay/batch"] == 0


def test_every_setting_measures_the_same_names():
    replays = [ssr(), Filter(), NoReplay()]
    for replay in replays:
        replay.select(batch(0.5, 0.0), step=0)
    assert len({frozenset(replay.metrics()) for replay in replays}) == 1


def test_histograms_show_the_magnitudes_before_and_after_selection():
    replay = Filter()
    replay.select(batch(0.0, 0.0, -0.25, 0.3, 2.0), step=0)
    measured = values(replay)
    before = {edge: measured[f"replay/magnitude_raw/{edge}"] for edge in ("0", "0.25", "0.5", "0.75", "1", "above")}
    assert before == {"0": 0.4, "0.25": 0.2, "0.5": 0.2, "0.75": 0, "1": 0, "above": 0.2}
    assert measured["replay/magnitude_chosen/0"] == 0
    assert measured["replay/magnitude_chosen/above"] == pytest.approx(1 / 3)
