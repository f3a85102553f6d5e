"""Forced Rethinking: make some responses look twice, and keep the second looks that come out right (ALGORITHM).

y = y1 ⊕ trigger ⊕ y2 is spliced from token ids, never from text: y1 loses its end token and nothing else, the trigger
is marked as forced, and the verdict is that of y2 alone. What is decided by a draw is in `algo/forcing.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from rethinker.algo.forcing import TRIGGERS, eligible, forced_samples, keep, trigger_category, with_kept
from rethinker.errors import ConfigError
from rethinker.interfaces import Request, RolloutEngine, Sampling, Scorer
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.seeding import Purpose, key
from rethinker.timing import Stopwatch
from rethinker.types import Completion, Group, Rethought, Rollout, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """Groups after forcing, and every second look that was forced, kept or not."""

    groups: tuple[Group, ...]
    second_looks: tuple[Rethought, ...]
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forced:
    """A first response that must look twice; `id` is unique even where an episode meets one problem twice."""

    id: str
    group: Group
    first: Rollout
    category: str
    prefix: np.ndarray


class Rethinker:
    """Forces second looks.

    Args:
        share: q, of eligible responses.
        max_kept: Second looks kept per group.
        max_total_tokens: Room for prompt, first response, trigger and second look together.
    """

    def __init__(
        self,
        *,
        vlm: VLM,
        engine: RolloutEngine,
        scorer: Scorer,
        stopwatch: Stopwatch,
        seed: int,
        share: float,
        max_kept: int,
        categories: Sequence[str],
        sampling: Sampling,
        max_total_tokens: int,
    ) -> None:
        self._vlm = vlm
        self._engine = engine
        self._scorer = scorer
        self._stopwatch = stopwatch
        self._seed = seed
        self._share = share
        self._max_kept = max_kept
        self._categories = tuple(categories)
        self._sampling = sampling
        self._triggers = {category: vlm.tokenize(TRIGGERS[category]) for category in self._categories}
        longest = max(len(ids) for ids in self._triggers.values())
        self._room = max_total_tokens - longest - sampling.max_tokens
        if self._room <= 0:
            raise ConfigError(
                f"rethink.max_total_tokens={max_total_tokens} leaves no room for a first response beside a trigger of "
                f"{longest} tokens and rethink.second_look.max_tokens={sampling.max_tokens}; raise the first"
            )

    def extend(self, groups: Sequence[Group]) -> Extended:
        """Force, generate, verify, keep; groups come back in order."""
        with self._stopwatch("rethink"):
            forced = [self._forced(place, group) for place, group in enumerate(groups)]
            by_id = self._second_looks([one for members in forced for one in members])
        looks = [[by_id[one.id] for one in members] for members in forced]
        kept = [keep(members, self._max_kept) for members in looks]
        return Extended(
            groups=tuple(with_kept(group, members) for group, members in zip(groups, kept, strict=True)),
            second_looks=tuple(look for members in looks for look in members),
            kept=sum(len(members) for members in kept),
        )

    def _forced(self, place: int, group: Group) -> list[_Forced]:
        able = {rollout.sample: rollout for rollout in group.rollouts if eligible(rollout, self._room)}
        chosen = forced_samples(self._seed, group.round, group.problem.id, able, self._share)
        return [self._splice(place, group, able[sample]) for sample in chosen]

    def _splice(self, place: int, group: Group, first: Rollout) -> _Forced:
        category = trigger_category(self._seed, group.round, group.problem.id, first.sample, self._categories)
        return _Forced(
            id=f"{place}#{group.problem.id}#{first.sample}",
            group=group,
            first=first,
            category=category,
            prefix=np.concatenate([first.token_ids[:-1], self._triggers[category]]),
        )

    def _second_looks(self, forced: Sequence[_Forced]) -> dict[str, Rethought]:
        """Sample and verify every second look; the verdict is y2's alone."""
        by_id = {one.id: one for one in forced}
        pending: list[tuple[_Forced, Completion, Future[Verdict]]] = []
        for completion in generate(self._engine, [self._request(one) for one in forced]):
            one = by_id[completion.request_id]
            verdict = self._scorer.submit(one.group.problem, self._vlm.decode(completion.token_ids))
            pending.append((one, completion, verdict))
        with self._stopwatch.within("verify"):
            return {one.id: self._rethought(one, look, verdict.result()) for one, look, verdict in pending}

    def _request(self, one: _Forced) -> Request:
        name, sample = one.group.problem.id, one.first.sample
        seed = key(self._seed, Purpose.SECOND, step=one.group.round, problem_id=name, sample=sample)
        return Request(id=one.id, prompt=one.first.prompt, prefix=one.prefix, sampling=self._sampling, seeds=(seed,))

    def _rethought(self, one: _Forced, look: Completion, verdict: Verdict) -> Rethought:
        first, start, end = one.first, len(one.first.token_ids) - 1, len(one.prefix)
        forced = np.zeros(end + len(look.token_ids), dtype=np.bool_)
        forced[start:end] = True
        unsampled = np.zeros(end - start, dtype=np.float32)
        token_ids = np.concatenate([one.prefix, look.token_ids])
        return Rethought(
            prompt=first.prompt,
            sample=first.sample,
            token_ids=token_ids,
            logprobs=np.concatenate([first.logprobs[:-1], unsampled, look.logprobs]),
            forced=forced,
            text=self._vlm.decode(token_ids),
            finish_reason=look.finish_reason,
            policy_version=look.policy_version,
            verdict=verdict,
            first=first,
            trigger=TRIGGERS[one.category],
            trigger_span=(start, end),
        )
