"""Episodes: one behaviour policy's responses, made once and trained on batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rethinker.interfaces import Scorer
from rethinker.rollout.behaviour import TokenLogprobs, recomputed
from rethinker.rollout.rethink import Extended, Rethinker
from rethinker.rollout.sampler import Sampler, is_mixed
from rethinker.rollout.second_looks import Marker, forced, second_look_metrics, spontaneous
from rethinker.seeding import Purpose, generator
from rethinker.timing import Stopwatch
from rethinker.types import NO_VERDICT, Experience, Group, Mean, Metrics, Rollout, State, merge

Credit = Callable[[Group], list[Experience]]
"""One group to its experiences (`algo.credit.credit` with its settings)."""


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
    """Makes episodes for ever: sample, force second looks, credit, shuffle groups, cut into updates.

    Args:
        rethinker: None forces nothing.
        updates: Batches per episode; groups stay whole, so that siblings share their prompt.
        token_logprobs: The learner's, asked for as old log-probs; None takes the engine's.
        generated: Called when an episode's responses have all been sampled.
    """

    def __init__(
        self,
        *,
        sampler: Sampler,
        rethinker: Rethinker | None,
        credit: Credit,
        scorer: Scorer,
        marker: Marker,
        stopwatch: Stopwatch,
        seed: int,
        updates: int,
        token_logprobs: TokenLogprobs | None = None,
        generated: Callable[[], None] | None = None,
    ) -> None:
        self._sampler = sampler
        self._rethinker = rethinker
        self._credit = credit
        self._scorer = scorer
        self._marker = marker
        self._stopwatch = stopwatch
        self._seed = seed
        self._updates = updates
        self._token_logprobs = token_logprobs
        self._generated = generated
        self._current: Episode | None = None
        self._next = 0

    def __iter__(self) -> Iterator[Episode]:
        """The unspent episode of a resumed run first, then new ones."""
        while True:
            if self._current is None or self._current.spent:
                self._current = self._make(self._next)
                self._next += 1
            yield self._current

    def state_dict(self) -> State:
        """The unspent part of the current episode, and the number of the next."""
        return {"next": self._next, "current": self._current.state_dict() if self._current else None}

    def load_state_dict(self, state: State) -> None:
        """Restore `state_dict`."""
        self._next = int(state["next"])
        current = state["current"]
        self._current = Episode(int(current["number"]), current["left"], {}) if current is not None else None

    def _make(self, number: int) -> Episode:
        sampled = self._sampler.sample(number)
        extended = self._extended(sampled.groups)
        if self._generated is not None:
            self._generated()
        metrics = merge(sampled.metrics, _first_metrics(sampled.groups), _group_metrics(extended.groups))
        with self._stopwatch("verify"):
            own = spontaneous(sampled.groups, self._scorer, self._marker)
        made = forced(extended.second_looks, sampled.groups)
        metrics |= second_look_metrics(own, made, kept=extended.kept) | _outcomes("rethink", extended.second_looks)
        looked = sum(len(look.token_ids) - look.trigger_span[1] for look in extended.second_looks)
        metrics["tokens/generated"] = Mean(sum=sampled.tokens + looked)
        order = generator(self._seed, Purpose.SHUFFLE, step=number).permutation(len(extended.groups))
        shuffled = [self._credit(extended.groups[int(index)]) for index in order]
        metrics |= _credit_metrics([experience for experiences in shuffled for experience in experiences])
        metrics["behaviour/recomputed"] = Mean(sum=0.0)
        if self._token_logprobs is not None:
            with self._stopwatch("logprobs"):
                shuffled, moved = recomputed(shuffled, self._token_logprobs)
            metrics |= moved
        size = len(shuffled) // self._updates
        batches = [
            [experience for experiences in shuffled[start : start + size] for experience in experiences]
            for start in range(0, size * self._updates, size)
        ]
        return Episode(number, batches, metrics)

    def _extended(self, groups: Sequence[Group]) -> Extended:
        if self._rethinker is None:
            return Extended(groups=tuple(groups), second_looks=(), kept=0)
        return self._rethinker.extend(groups)


def _first_metrics(groups: Sequence[Group]) -> Metrics:
    """Rewards and lengths of the responses as first sampled: the policy's own, before anything was forced."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    count = len(rollouts)
    lengths = sum(len(rollout.token_ids) for rollout in rollouts)
    return {
        "reward/mean": Mean(sum=sum(rollout.verdict.reward for rollout in rollouts), count=count),
        **_outcomes("reward", rollouts),
        "tokens/prompt": Mean(sum=sum(len(g.rollouts[0].prompt.token_ids) for g in groups), count=len(groups)),
        "tokens/response": Mean(sum=lengths, count=count),
        "tokens/truncated": Mean(sum=sum(rollout.finish_reason == "length" for rollout in rollouts), count=count),
    }


def _credit_metrics(experiences: Sequence[Experience]) -> Metrics:
    """What became of long responses: cut and out of the loss, or with less reward."""
    masked = sum(e.rollout.finish_reason == "length" and not e.rl.any() for e in experiences)
    penalties = [e.penalty for e in experiences if e.penalty is not None]
    return {
        "tokens/masked": Mean(sum=masked, count=len(experiences)),
        "reward/length_penalty": Mean(sum=sum(penalties), count=len(penalties)),
    }


def _outcomes(name: str, rollouts: Sequence[Rollout]) -> Metrics:
    """Shares of the responses that got no verdict, by why."""
    outcomes = [rollout.verdict.outcome for rollout in rollouts]
    return {f"{name}/{outcome.value}": Mean(sum=outcomes.count(outcome), count=len(outcomes)) for outcome in NO_VERDICT}


def _group_metrics(groups: Sequence[Group]) -> Metrics:
    """Which of the groups that are trained on teach something (the vanishing advantages)."""
    count = len(groups)
    mixed = sum(is_mixed(group) for group in groups)
    right = sum(all(rollout.verdict.correct for rollout in group.rollouts) for group in groups if not is_mixed(group))
    return {
        "groups/mixed": Mean(sum=mixed, count=count),
        "groups/all_correct": Mean(sum=right, count=count),
        "groups/all_wrong": Mean(sum=count - mixed - right, count=count),
    }
