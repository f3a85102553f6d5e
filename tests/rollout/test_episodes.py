from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from functools import partial
from itertools import islice

import numpy as np
import pytest
from tests.rollout.scripted import CUT, ListStream, RuleScorer, ScriptedEngine, problem, rethinker, sampler

from rethinker.algo.advantages import grpo
from rethinker.algo.credit import LengthPenalty, credit
from rethinker.algo.truncation import soft_penalty
from rethinker.interfaces import Request, WeightSync
from rethinker.models.vlm import VLM
from rethinker.rollout.behaviour import TokenLogprobs
from rethinker.rollout.episodes import BetweenEpisodes, Episode, Episodes
from rethinker.rollout.making import EpisodeMaker
from rethinker.rollout.second_looks import Marker
from rethinker.runs.codec import decode, encode
from rethinker.timing import Stopwatch
from rethinker.types import Experience, Mean, Metrics, Rethought, State

NAMES = "abcdefghijkl"


def say(request: Request, sample: int) -> str:
    return ("\\boxed{3}", "\\boxed{7}. Wait, \\boxed{3}", "nothing", "\\boxed{7}" + CUT)[sample]


LOOK = "\n\\boxed{3}"


def scripted(vlm: VLM, look: str = LOOK) -> ScriptedEngine:
    return ScriptedEngine(vlm, lambda request, sample: look if len(request.prefix) else say(request, sample))


def episodes(
    vlm: VLM,
    *,
    seed: int = 0,
    updates: int = 2,
    queries: int = 6,
    force: bool = True,
    look: str = LOOK,
    token_logprobs: TokenLogprobs | None = None,
    mask: bool = False,
    penalty: LengthPenalty | None = None,
    staleness: int = 0,
    dropped_beyond: int | None = None,
    last: int = 5,
    engine: ScriptedEngine | None = None,
) -> Episodes:
    engine = engine or scripted(vlm, look)
    scorer = RuleScorer()
    stream = ListStream([problem(name) for name in NAMES])
    maker = EpisodeMaker(
        sampler=sampler(vlm, engine, stream, queries=queries, group_size=4, seed=seed),
        rethinker=rethinker(vlm, engine, scorer) if force else None,
        credit=partial(
            credit,
            advantages=grpo,
            normalisation="sequence_mean",
            imitation="second_look",
            penalty=penalty,
            mask_truncated=mask,
        ),
        scorer=scorer,
        marker=Marker(),
        stopwatch=Stopwatch(),
        seed=seed,
    )
    return Episodes(
        maker,
        stopwatch=Stopwatch(),
        updates=updates,
        staleness=staleness,
        dropped_beyond=dropped_beyond,
        last=last,
        token_logprobs=token_logprobs,
    )


def names(batch: list[Experience]) -> list[str]:
    return [experience.rollout.prompt.problem_id for experience in batch]


def first(made: Episodes) -> Episode:
    return next(iter(made))


def through_disk(state: State) -> State:
    document, tensors = encode(state)
    return decode(json.loads(json.dumps(document)), copy.deepcopy(tensors))


@pytest.mark.parametrize("updates", [1, 2, 3, 6])
def test_groups_stay_whole_and_each_is_trained_on_once(tiny_vlm: VLM, updates: int) -> None:
    batches = list(first(episodes(tiny_vlm, updates=updates)).batches())
    assert len(batches) == updates
    assert [len(batch) for batch in batches] == [24 // updates] * updates
    for batch in batches:
        seen = names(batch)
        assert seen == [name for name in dict.fromkeys(seen) for _ in range(4)]
        assert [experience.rollout.sample for experience in batch[:4]] == [0, 1, 2, 3]
    assert sorted(name for batch in batches for name in names(batch)) == sorted("abcdef" * 4)


def test_groups_are_shuffled_by_the_seed(tiny_vlm: VLM) -> None:
    orders = [tuple(names(next(first(episodes(tiny_vlm, seed=seed)).batches()))) for seed in (0, 0, 1, 2)]
    assert orders[0] == orders[1]
    assert len(set(orders)) > 1


def test_an_episode_has_the_figures_of_generation_once(tiny_vlm: VLM) -> None:
    episode = first(episodes(tiny_vlm))
    figures = {name: mean.value for name, mean in episode.drain_metrics().items()}
    assert episode.drain_metrics() == {}
    assert figures["reward/mean"] == pytest.approx(0.5)  # of first responses, before anything was forced
    assert figures["reward/unparsed"] == pytest.approx(0.25)
    assert figures["tokens/truncated"] == pytest.approx(0.25)
    assert figures["rethink/spontaneous"] == pytest.approx(0.25)
    assert figures["rethink/wrong_to_right"] == pytest.approx(0.25)
    assert figures["rethink/forced"] == pytest.approx(0.75)  # all but the one cut off
    assert figures["rethink/forced_wrong_to_right"] == 0.0  # the one that came out right had no first answer
    assert figures["rethink/kept"] == pytest.approx(2 / 3)
    assert figures["groups/mixed"] == 1.0


def test_forced_second_looks_without_a_verdict_are_counted_apart_from_first_responses(tiny_vlm: VLM) -> None:
    figures = first(episodes(tiny_vlm, look="Yes.")).drain_metrics()
    assert (figures["rethink/unparsed"].sum, figures["rethink/unparsed"].count) == (18, 18)
    assert (figures["reward/unparsed"].sum, figures["reward/unparsed"].count) == (6, 24)
    assert figures["rethink/timeout"].value == figures["rethink/error"].value == 0
    unforced = first(episodes(tiny_vlm, force=False)).drain_metrics()
    assert unforced["rethink/unparsed"].value is None


def test_what_was_masked_and_what_length_took_is_counted_over_the_final_responses(tiny_vlm: VLM) -> None:
    plain, masked = (first(episodes(tiny_vlm, mask=mask)) for mask in (False, True))
    assert plain.drain_metrics()["tokens/masked"].value == 0
    figures = masked.drain_metrics()
    assert figures["tokens/masked"].value == pytest.approx(0.25)
    assert figures["reward/length_penalty"].value is None
    left_out = [e for batch in masked.batches() for e in batch if not e.rl.any()]
    assert {e.rollout.finish_reason for e in left_out} == {"length"}
    assert len(left_out) == 6

    punished = first(episodes(tiny_vlm, penalty=partial(soft_penalty, max_tokens=8, buffer=8)))
    penalty = punished.drain_metrics()["reward/length_penalty"]
    taken = [e.penalty for batch in punished.batches() for e in batch]
    assert len(taken) == penalty.count == 24
    assert penalty.sum == pytest.approx(sum(each or 0.0 for each in taken))
    assert penalty.sum < 0


def test_generated_tokens_count_second_looks_and_not_triggers(tiny_vlm: VLM) -> None:
    plain, forced = (first(episodes(tiny_vlm, force=force)) for force in (False, True))
    second = len(tiny_vlm.tokenize(LOOK)) + 1
    without = plain.drain_metrics()["tokens/generated"].sum
    assert forced.drain_metrics()["tokens/generated"].sum == without + 6 * 3 * second
    assert not any(isinstance(e.rollout, Rethought) for batch in plain.batches() for e in batch)


def test_the_unspent_part_of_an_episode_survives_a_save(tiny_vlm: VLM) -> None:
    unbroken, broken = episodes(tiny_vlm), episodes(tiny_vlm)
    list(islice(first(unbroken).batches(), 1))
    list(islice(first(broken).batches(), 1))
    resumed = episodes(tiny_vlm)
    resumed.load_state_dict(through_disk(broken.state_dict()))
    expected, found = first(unbroken), first(resumed)
    assert (found.number, found.spent, found.drain_metrics()) == (0, False, {})
    (left,), (restored,) = list(expected.batches()), list(found.batches())
    assert names(restored) == names(left)
    for old, new in zip(left, restored, strict=True):
        assert type(new.rollout) is type(old.rollout)
        assert new.advantage == old.advantage
        for field in ("rl", "imitation"):
            assert getattr(new, field).tobytes() == getattr(old, field).tobytes()
        for field in ("token_ids", "logprobs", "forced"):
            assert getattr(new.rollout, field).tobytes() == getattr(old.rollout, field).tobytes()
    prompts = {id(experience.rollout.prompt) for experience in restored}
    assert len(prompts) == len(set(names(restored)))  # siblings share their prompt again


def test_a_spent_episode_is_followed_by_the_next_number(tiny_vlm: VLM) -> None:
    made = episodes(tiny_vlm)
    for episode in islice(made, 2):
        list(episode.batches())
    resumed = episodes(tiny_vlm)
    resumed.load_state_dict(through_disk(made.state_dict()))
    assert [episode.number for episode in _spent(resumed, 2)] == [2, 3]


def _spent(made: Episodes, count: int) -> list[Episode]:
    found = []
    for episode in islice(made, count):
        list(episode.batches())
        found.append(episode)
    return found


def test_the_learner_is_asked_for_log_probs_once_an_episode_where_the_engines_do_not_count(tiny_vlm: VLM) -> None:
    asked: list[int] = []

    def half_a_nat_lower(experiences: Sequence[Experience]) -> list[np.ndarray]:
        asked.append(len(experiences))
        return [(e.rollout.logprobs - 0.5).astype(np.float32) for e in experiences]

    kept, moved = (first(episodes(tiny_vlm, token_logprobs=judge)) for judge in (None, half_a_nat_lower))
    metrics = moved.drain_metrics()
    assert (metrics["behaviour/recomputed"].value, metrics["behaviour/moved"].value) == (1.0, pytest.approx(0.5))
    assert kept.drain_metrics()["behaviour/recomputed"].value == 0.0
    assert asked == [24]
    pairs = [pair for batches in zip(kept.batches(), moved.batches(), strict=True) for pair in zip(*batches)]
    assert len(pairs) == 24
    for engines, learners in pairs:
        assert engines.rollout.token_ids.tolist() == learners.rollout.token_ids.tolist()
        assert np.array_equal(engines.rollout.logprobs, learners.rollout.logprobs)
        assert engines.old is None
        assert np.allclose(learners.rollout.logprobs - learners.old, 0.5)
        assert engines.advantage == learners.advantage


class EngineSync(WeightSync):
    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine

    def publish(self, version: int) -> Metrics:
        assert self.engine.pending == 0
        self.engine.load_weights(iter(()), version)
        return {}


@pytest.mark.parametrize("staleness", [0, 1, 3])
def test_episode_n_is_sampled_by_policy_n_minus_the_staleness(tiny_vlm: VLM, staleness: int) -> None:
    engine = scripted(tiny_vlm)
    made = episodes(tiny_vlm, staleness=staleness, engine=engine)
    weights, seen = BetweenEpisodes(EngineSync(engine), made), []
    for episode in islice(made, 5):
        seen.append((episode.number, {each.rollout.policy_version for batch in episode.batches() for each in batch}))
        weights.publish(episode.number + 1)
    assert seen == [(number, {max(0, number - staleness)}) for number in range(5)]


def test_no_episode_is_made_ahead_beyond_the_last(tiny_vlm: VLM) -> None:
    engine = scripted(tiny_vlm)
    for episode in islice(episodes(tiny_vlm, staleness=2, last=2, engine=engine, force=False), 3):
        assert len([*episode.batches()]) == 2
    assert len(engine.asked) == 3 * 6


def test_samples_of_too_old_a_policy_are_dropped_and_counted(tiny_vlm: VLM) -> None:
    engine = scripted(tiny_vlm)
    made = episodes(tiny_vlm, staleness=2, dropped_beyond=1, engine=engine)
    weights = BetweenEpisodes(EngineSync(engine), made)
    left = []
    for episode in islice(made, 4):
        metrics = episode.drain_metrics()
        left.append(sum(len(batch) for batch in episode.batches()))
        assert metrics["pipeline/staleness"].value == min(2, episode.number)
        assert metrics["pipeline/dropped"] == Mean(sum=24.0 * (episode.number >= 2), count=24)
        weights.publish(episode.number + 1)
    assert left == [24, 24, 0, 0]


def trained(made: Episodes, engine: ScriptedEngine, batches: int) -> list[list[str]]:
    """So many batches, with a sync after each episode."""
    weights, seen = BetweenEpisodes(EngineSync(engine), made), []
    for episode in made:
        for batch in episode.batches():
            seen.append([f"{each.rollout.text} {each.rollout.policy_version} {each.advantage}" for each in batch])
            if episode.spent:
                weights.publish(engine.version + 1)
            if len(seen) == batches:
                return seen
    raise AssertionError


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_resumed_with_episodes_ahead_trains_on_the_same(tiny_vlm: VLM, stop: int) -> None:
    """Stopped after so many batches, of which an episode has two."""
    whole = scripted(tiny_vlm)
    wanted = trained(episodes(tiny_vlm, staleness=1, engine=whole), whole, 6)
    first, second = scripted(tiny_vlm), scripted(tiny_vlm)
    made, resumed = (episodes(tiny_vlm, staleness=1, engine=engine) for engine in (first, second))
    before = trained(made, first, stop)
    state = through_disk(made.state_dict())
    stream_of(resumed).position = stream_of(made).position
    resumed.load_state_dict(state)
    second.version = first.version
    assert before + trained(resumed, second, 6 - stop) == wanted


def stream_of(made: Episodes) -> ListStream:
    stream = made._maker._sampler._stream
    assert isinstance(stream, ListStream)
    return stream


def test_what_keeps_an_episode_from_being_made_ahead_is_raised_by_the_loop(tiny_vlm: VLM) -> None:
    def broken(request: Request, sample: int) -> str:
        raise OSError("no such engine")

    engine = scripted(tiny_vlm)
    made = episodes(tiny_vlm, staleness=1, engine=engine)
    coming = iter(made)
    list(next(coming).batches())
    made.settle()
    engine.say = broken
    list(next(coming).batches())
    with pytest.raises(OSError, match="no such engine"):
        next(coming)
