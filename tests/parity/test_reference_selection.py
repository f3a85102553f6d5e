"""Advantages, second looks, credit and replay: the package equals the reference on random groups."""

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import vl_rethinker as reference
from tests.parity.worlds import PROMPT, as_group, as_rollout, groups, responses, rewards

from rethinker.algo import advantages, forcing
from rethinker.algo.credit import credit
from rethinker.algo.replay import Filter, NoReplay, SelectiveSampleReplay
from rethinker.algo.truncation import soft_penalty
from rethinker.seeding import Purpose, generator

ESTIMATORS = {"grpo": advantages.grpo, "grpo_std": advantages.grpo_std, "rloo": advantages.rloo}
NORMALISATIONS = st.sampled_from(["sequence_mean", "token_mean", "constant"])
SPANS = st.sampled_from(["second_look", "trajectory"])


@pytest.mark.parametrize("kind", ESTIMATORS)
@given(group=rewards)
def test_advantages_equal_the_reference(kind, group):
    expected = reference.advantages(group, kind)
    given_rewards = np.array(group, dtype=np.float32)
    actual = ESTIMATORS[kind](given_rewards)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    if len(set(group)) == 1:
        assert actual.tolist() == [0.0] * len(group)


@given(first=responses(0), room=st.integers(0, 12))
def test_eligibility_equals_the_reference(first, room):
    settings = reference.Settings(context=room + 3 + 4, second_look_tokens=4)
    expected = reference.is_eligible(first, len(PROMPT.token_ids), 3, settings)
    assert forcing.eligible(as_rollout(first, []), room) == expected


@given(share=st.floats(0, 1), episode=st.integers(0, 9))
def test_forcing_equals_the_reference_on_the_same_draws(share, episode):
    drawn = [generator(7, Purpose.FORCE, step=episode, problem_id="p1", sample=sample).random() for sample in range(8)]
    expected = [sample for sample, uniform in enumerate(drawn) if reference.is_forced(uniform, share)]
    assert forcing.forced_samples(7, episode, "p1", range(8), share) == expected


def test_triggers_equal_the_reference():
    assert list(forcing.TRIGGERS.values()) == reference.TRIGGERS


@given(group=groups(), max_kept=st.integers(0, 3))
def test_what_is_kept_equals_the_reference(group, max_kept):
    firsts, looks = group
    final = reference.replace_kept(firsts, looks, max_kept)
    kept = forcing.keep([as_rollout(look, firsts) for look in looks], max_kept)
    replaced = forcing.with_kept(as_group(firsts, firsts), kept)
    assert [each.token_ids.tolist() for each in replaced.rollouts] == [each.tokens for each in final]
    assert len(kept) == sum(each.trigger_at is not None for each in final)


@given(
    group=groups(),
    kind=st.sampled_from(list(ESTIMATORS)),
    normalise=NORMALISATIONS,
    imitate=SPANS,
    truncated=st.sampled_from(["score", "mask", "soft_penalty"]),
    limit=st.integers(1, 6),
    data=st.data(),
)
def test_credit_equals_the_reference(group, kind, normalise, imitate, truncated, limit, data):
    firsts, looks = group
    settings = reference.Settings(
        advantage=kind, normalise=normalise, imitate=imitate,
        truncated=truncated, max_tokens=limit, buffer=data.draw(st.integers(1, limit)),
    )  # fmt: skip
    final = reference.replace_kept(firsts, looks, settings.max_kept)
    expected = reference.credit(final, settings)
    penalty = partial(soft_penalty, max_tokens=limit, buffer=settings.buffer)
    actual = credit(
        as_group(final, firsts),
        advantages=ESTIMATORS[kind], normalisation=normalise, imitation=imitate,
        penalty=penalty if truncated == "soft_penalty" else None, mask_truncated=truncated == "mask",
    )  # fmt: skip
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.advantage == pytest.approx(theirs.advantage, rel=1e-5, abs=1e-6)
        np.testing.assert_allclose(ours.rl, theirs.rl, rtol=1e-6)
        np.testing.assert_allclose(ours.imitation, theirs.imitation, rtol=1e-6)


def settled(replay, alpha, lifetime, capacity):
    settings = reference.Settings(replay=replay, alpha=alpha, lifetime=lifetime, capacity=capacity)
    ours = {
        "none": NoReplay,
        "filter": Filter,
        "ssr": lambda: SelectiveSampleReplay(seed=3, alpha=alpha, lifetime=lifetime, capacity=capacity),
    }[replay]()
    return settings, reference.Buffer(lifetime=lifetime, capacity=capacity), ours


def on_a_border(buffer, uniforms, alpha):
    """Whether rounding could decide a draw, where the two may rightly differ."""
    powers = np.array([abs(sample.advantage) ** alpha for sample, _ in buffer.stored])
    borders = np.cumsum(powers) / powers.sum()
    return bool((np.abs(np.asarray(uniforms)[:, None] - borders[None, :]) < 1e-6).any())


@given(
    replay=st.sampled_from(["none", "filter", "ssr"]),
    alpha=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    lifetime=st.integers(1, 3),
    capacity=st.integers(1, 30),
    episodes=st.lists(st.lists(groups(largest=3), min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_replay_chooses_as_the_reference_does_with_the_same_draws(replay, alpha, lifetime, capacity, episodes):
    settings, buffer, ours = settled(replay, alpha, lifetime, capacity)
    twins, step = {}, 0
    for episode in episodes:
        for firsts, looks in episode:
            final = reference.replace_kept(firsts, looks, settings.max_kept)
            theirs = reference.credit(final, settings)
            mine = credit(
                as_group(final, firsts),
                advantages=advantages.grpo, normalisation="sequence_mean", imitation="second_look",
            )  # fmt: skip
            twins |= dict(zip(theirs, mine, strict=True))
            uniforms = [float(u) for u in generator(3, Purpose.REPLAY, step=step).random(len(theirs))]
            expected = reference.select(theirs, buffer, lambda count, drawn=uniforms: drawn[:count], settings)
            assume(not buffer.stored or not on_a_border(buffer, uniforms, alpha))
            actual = ours.select(mine, step=step)
            assert actual == [twins[sample] for sample in expected]  # by identity
            if replay == "ssr":
                assert ours.metrics()["replay/size"].value == len(buffer.stored)
            step += 1
        buffer.policy_synced()
        ours.policy_synced()


@given(group=groups(), replay=st.sampled_from(["filter", "ssr"]))
def test_no_zero_advantage_sample_is_ever_trained_on(group, replay):
    firsts, looks = group
    settings, buffer, ours = settled(replay, 1.0, 1, 100)
    final = reference.replace_kept(firsts, looks, 2)
    chosen = reference.select(reference.credit(final, settings), buffer, lambda count: [0.5] * count, settings)
    assert all(sample.advantage != 0 for sample in chosen)
    mine = credit(
        as_group(final, firsts), advantages=advantages.grpo, normalisation="token_mean", imitation="trajectory"
    )
    assert all(each.advantage != 0 for each in ours.select(mine, step=0))
    assert len(chosen) in (0, len(final)) or replay == "filter"


def test_the_border_check_itself_sees_a_border():
    stored = [reference.Sample(None, advantage, [], []) for advantage in (0.5, -0.5)]
    buffer = reference.Buffer(stored=[(sample, 0) for sample in stored])
    assert on_a_border(buffer, [0.5], 1.0)
    assert not on_a_border(buffer, [0.25, 0.75], 1.0)
