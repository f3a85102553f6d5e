"""How an episode is made: sample, force second looks, credit, shuffle the groups; all that the learner is not asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rethinker.interfaces import Scorer
from rethinker.rollout.rethink import Extended, Rethinker
from rethinker.rollout.sampler import Sampler, is_mixed
from rethinker.rollout.second_looks import Marker, forced, second_look_metrics, spontaneous
from rethinker.seeding import Purpose, generator
from rethinker.timing import Stopwatch
from rethinker.types import NO_VERDICT, Experience, Group, Mean, Metrics, Rollout, State, merge

Credit = Callable[[Group], list[Experience]]
"""One group to its experiences (`algo.credit.credit` with its settings)."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Made:
    """An episode's experience, group by group in the order in which it is trained on, and the figures of generation."""

    number: int
    groups: list[list[Experience]]
    metrics: Metrics

    def state_dict(self) -> State:
        """All of it: its behaviour policy will be gone."""
        return {"number": self.number, "groups": self.groups, "metrics": self.metrics}


class EpisodeMaker:
    """Makes episodes.

    Args:
        rethinker: None forces nothing.
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
        generated: Callable[[], None] = lambda: None,
    ) -> None:
        self._sampler = sampler
        self._rethinker = rethinker
        self._credit = credit
        self._scorer = scorer
        self._marker = marker
        self._stopwatch = stopwatch
        self._seed = seed
        self._generated = generated

    def make(self, number: int) -> Made:
        """Episode `number`, sampled from what the engine holds now."""
        sampled = self._sampler.sample(number)
        extended = self._extended(sampled.groups)
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
        return Made(number=number, groups=shuffled, metrics=metrics)

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
