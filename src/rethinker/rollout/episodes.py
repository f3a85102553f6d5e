"""Episodes: one behaviour policy's responses, made once, ahead of the learner if asked, and trained on by batches.

Which policy samples what never depends on who is faster: with a staleness of k, episode n is sampled by policy
max(0, n − k). Making goes on only between the moment the loop asks for an episode and the next sync, so a sync, a
measurement and a checkpoint find nothing under way; runs stay repeatable and resume exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from rethinker.interfaces import WeightSync
from rethinker.rollout.behaviour import TokenLogprobs, recomputed
from rethinker.rollout.making import EpisodeMaker, Made
from rethinker.timing import Stopwatch
from rethinker.types import Experience, Mean, Metrics, State


class Episode:
    """Batches of one episode; what is not yet handed out is state, since its behaviour policy will be gone."""

    def __init__(self, number: int, batches: Sequence[Sequence[Experience]], metrics: Metrics) -> None:
        self.number = number
        self._left = [list(batch) for batch in batches]
        self._metrics = metrics

    @property
    def spent(self) -> bool:
        """Whether every batch was handed out."""
        return not self._left

    def batches(self) -> Iterator[list[Experience]]:
        """Hand out what is left, one update's batch at a time."""
        while self._left:
            yield self._left.pop(0)

    def drain_metrics(self) -> Metrics:
        """The figures of generation; once, for the line of the episode's first step."""
        drained, self._metrics = self._metrics, {}
        return drained

    def state_dict(self) -> State:
        """What is left to train on."""
        return {"number": self.number, "left": self._left}


class Episodes:
    """The episodes of a run, for ever.

    Args:
        maker: Asked for one episode after another, by nobody else.
        updates: Batches per episode; groups stay whole, so that siblings share their prompt.
        staleness: Syncs that come between the sampling of an episode and its first update, k; above 0 a thread samples
            while the learner trains, on an engine that has weights of its own.
        dropped_beyond: Samples of more syncs ago are not trained on; None drops none.
        last: Number of the run's last episode; none is made ahead beyond it.
        token_logprobs: The learner's, asked for as old log-probs; None takes the engine's.
    """

    def __init__(
        self,
        maker: EpisodeMaker,
        *,
        stopwatch: Stopwatch,
        updates: int,
        staleness: int = 0,
        dropped_beyond: int | None = None,
        last: int = 0,
        token_logprobs: TokenLogprobs | None = None,
    ) -> None:
        self._maker = maker
        self._stopwatch = stopwatch
        self._updates = updates
        self._staleness = staleness
        self._dropped_beyond = staleness if dropped_beyond is None else dropped_beyond
        self._last = last
        self._token_logprobs = token_logprobs
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="episodes") if staleness else None
        self._coming: deque[Future[Made]] = deque()
        self._current: Episode | None = None
        self._next = 0

    def __iter__(self) -> Iterator[Episode]:
        """The unspent episode of a resumed run first, then new ones."""
        while True:
            if self._current is None or self._current.spent:
                self._make_ahead(self._next)
                made = self._coming.popleft().result() if self._coming else self._maker.make(self._next)
                self._next += 1
                self._current = self._episode(made)
            else:
                self._make_ahead(self._current.number)
            yield self._current

    def settle(self) -> None:
        """Wait until nothing is being made.

        Raises:
            RethinkerError: what kept an episode from being made.
        """
        for coming in self._coming:
            coming.result()

    def state_dict(self) -> State:
        """The unspent part of the current episode, those made ahead, and the number of the next."""
        self.settle()
        return {
            "next": self._next,
            "current": self._current.state_dict() if self._current else None,
            "ahead": [coming.result().state_dict() for coming in self._coming],
        }

    def load_state_dict(self, state: State) -> None:
        """Restore `state_dict`."""
        self._next = int(state["next"])
        current = state["current"]
        self._current = Episode(int(current["number"]), current["left"], {}) if current is not None else None
        self._coming = deque(_done(Made(**made)) for made in state["ahead"])

    def _make_ahead(self, asked: int) -> None:
        """Let the thread make all that may be made while episode `asked` is trained on."""
        if self._thread is None:
            return
        for number in range(self._next + len(self._coming), min(asked + self._staleness, self._last) + 1):
            self._coming.append(self._thread.submit(self._maker.make, number))

    def _episode(self, made: Made) -> Episode:
        """What is trained on, under the log-probs that its first update compares with.

        There is a sync after every episode, so the policy that trains on episode n is number n.
        """
        groups, metrics = self._fresh(made)
        metrics["behaviour/recomputed"] = Mean(sum=0.0)
        if self._token_logprobs is not None:
            with self._stopwatch("logprobs"):
                groups, moved = recomputed(groups, self._token_logprobs)
            metrics |= moved
        size = len(groups) // self._updates
        batches = [
            [experience for experiences in groups[start : start + size] for experience in experiences]
            for start in range(0, size * self._updates, size)
        ]
        return Episode(made.number, batches, metrics)

    def _fresh(self, made: Made) -> tuple[list[list[Experience]], Metrics]:
        """Without the samples of too old a policy; how old the others are."""
        if not self._staleness:
            return made.groups, dict(made.metrics)
        ages = [[made.number - each.rollout.policy_version for each in group] for group in made.groups]
        kept = [
            [each for each, age in zip(group, old, strict=True) if age <= self._dropped_beyond]
            for group, old in zip(made.groups, ages, strict=True)
        ]
        flat = [age for old in ages for age in old]
        return kept, made.metrics | {
            "pipeline/staleness": Mean(sum=sum(flat), count=len(flat)),
            "pipeline/dropped": Mean(sum=sum(age > self._dropped_beyond for age in flat), count=len(flat)),
        }


class BetweenEpisodes(WeightSync):
    """Publishes once nothing is being sampled."""

    def __init__(self, weights: WeightSync, episodes: Episodes) -> None:
        self._weights = weights
        self._episodes = episodes

    def publish(self, version: int) -> Metrics:
        """After it returns, engines sample from the learner's weights under `version`."""
        self._episodes.settle()
        return self._weights.publish(version)


def _done(made: Made) -> Future[Made]:
    future: Future[Made] = Future()
    future.set_result(made)
    return future
