"""The reference as a whole: an episode in a small made-up world, its numbers worked out by hand."""

import random

import pytest
from reference.vl_rethinker import Buffer, Response, Scored, Settings, loss, run_episode

END = 2


class CoinWorld:
    """First responses are right by a coin; second looks are always right. Draws are keyed by their arguments."""

    def __init__(self, right: float) -> None:
        self.right = right

    def prompt_length(self, problem: str) -> int:
        return 5

    def encode(self, text: str) -> list[int]:
        return [50, 51]

    def respond(self, problem: str, sample: int, prefix: list[int]) -> Response:
        correct = bool(prefix) or self.uniform("first", problem, sample) < self.right
        return Response(
            sample, [40, 41, END], [-1.0, -1.0, -1.0], [False] * 3, ended=True, reward=float(correct), correct=correct
        )

    def uniform(self, purpose: str, problem: str, sample: int) -> float:
        return random.Random(f"{purpose}/{problem}/{sample}").random()

    def uniforms(self, count: int) -> list[float]:
        return [(place + 0.5) / count for place in range(count)]


def updates_of(world: CoinWorld, settings: Settings, buffer: Buffer | None = None) -> list:
    seen: list = []
    run_episode([f"p{n}" for n in range(8)], world, buffer or Buffer(), settings, seen.append)
    return seen


def test_an_episode_gives_the_asked_updates_of_whole_size():
    updates = updates_of(CoinWorld(0.5), Settings(updates=4, share=0.0))
    assert [len(update) for update in updates] == [16, 16, 16, 16]


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_an_episode_without_any_signal_trains_on_nothing(right):
    assert updates_of(CoinWorld(right), Settings(updates=2, share=0.0)) == [[], []]


def test_forcing_brings_signal_to_queries_that_were_all_wrong():
    updates = updates_of(CoinWorld(0.0), Settings(updates=1, share=1.0, replay="none"))
    (update,) = updates
    assert sum(sample.response.trigger_at is not None for sample in update) == 8 * 2
    assert {sample.advantage for sample in update} == {0.75, -0.25}


def test_the_buffer_is_empty_after_the_sync():
    buffer = Buffer()
    updates_of(CoinWorld(0.5), Settings(updates=2), buffer)
    assert buffer.stored == []


def test_one_forced_sample_followed_to_the_loss_by_hand():
    """y1 = [40, 41, END], trigger = [50, 51], y2 = [40, 41, END]: two of eight kept, Â = 3/4 and −1/4."""
    settings = Settings(updates=1, share=1.0, replay="none")
    ((*update,),) = updates_of(CoinWorld(0.0), settings)
    kept = next(sample for sample in update if sample.response.trigger_at is not None)
    assert kept.response.tokens == [40, 41, 50, 51, 40, 41, END]
    assert kept.rl == [1 / 5, 1 / 5, 0, 0, 1 / 5, 1 / 5, 1 / 5]
    assert kept.imitation == [0, 0, 1 / 5, 1 / 5, 1 / 5, 1 / 5, 1 / 5]
    at_start = Scored(kept, current=[-2.0] * 7, old=[-2.0] * 2 + [0.0] * 2 + [-2.0] * 3)
    # ρ = 1 everywhere; old / behaviour = e⁻¹ on sampled tokens; imitation is 2 nats on the trigger and y2.
    assert loss([at_start], settings) == pytest.approx(-0.75 * 2.718281828 ** (-1) + 0.05 * 2.0)
