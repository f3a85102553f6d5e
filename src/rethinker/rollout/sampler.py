"""The sampler: problems to scored groups. Plain takes queries as they come; dynamic goes on until enough are mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rethinker.data.quarantine import Quarantine
from rethinker.errors import DataError, DatasetError
from rethinker.interfaces import RolloutEngine, Sampling, Scorer, Stream
from rethinker.models.templates import Template
from rethinker.models.vlm import VLM
from rethinker.rollout.scoring import first_requests, scored_groups
from rethinker.seeding import Purpose
from rethinker.timing import Stopwatch
from rethinker.types import Group, Mean, Metrics, Problem, Prompt

_PATIENCE = 100
"""Problems without a usable prompt that may come one after another, beside those that stand in the round already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """An episode's groups of first responses.

    Attributes:
        tokens: Response tokens sampled, those of dropped groups included.
        metrics: What was left out (`sampler/…`).
    """

    groups: tuple[Group, ...]
    tokens: int
    metrics: Metrics


class Sampler:
    """Makes the groups of an episode.

    Args:
        stream: Training problems. One whose prompt cannot be made is quarantined and replaced by the next; so is one
            that stands in the round already (where two epochs meet), which then comes again in a later epoch.
        queries: Groups per episode.
        rounds: 1 is the plain sampler. More is dynamic sampling (DAPO): rounds of `queries` problems until so many
            groups are mixed, counted on first responses. If they never are, the latest other groups fill the episode.
    """

    def __init__(
        self,
        *,
        stream: Stream,
        quarantine: Quarantine,
        vlm: VLM,
        engine: RolloutEngine,
        scorer: Scorer,
        stopwatch: Stopwatch,
        seed: int,
        template: Template,
        max_prompt_tokens: int,
        sampling: Sampling,
        queries: int,
        group_size: int,
        rounds: int = 1,
    ) -> None:
        self._stream = stream
        self._quarantine = quarantine
        self._vlm = vlm
        self._engine = engine
        self._scorer = scorer
        self._stopwatch = stopwatch
        self._seed = seed
        self._template: Template = template
        self._max_prompt_tokens = max_prompt_tokens
        self._sampling = sampling
        self._queries = queries
        self._group_size = group_size
        self._rounds = rounds
        self._repeated = 0

    def sample(self, episode: int) -> Sampled:
        """Groups of first responses to the next problems of the stream, sampled under `episode`'s keys."""
        mixed: list[Group] = []
        other: list[Group] = []
        used = self._repeated = 0
        while used < self._rounds and len(mixed) < self._queries:
            groups = self._round(episode * self._rounds + used)
            used += 1
            if self._rounds == 1:
                return Sampled(groups=tuple(groups), tokens=_tokens(groups), metrics=self._left_out())
            mixed += [group for group in groups if is_mixed(group)]
            other += [group for group in groups if not is_mixed(group)]
        missing = max(0, self._queries - len(mixed))
        kept = mixed[: self._queries] + (other[-missing:] if missing else [])
        return Sampled(
            groups=tuple(kept),
            tokens=_tokens(mixed) + _tokens(other),
            metrics=self._left_out()
            | {
                "sampler/rounds": Mean(sum=used),
                "sampler/dropped": Mean(sum=len(mixed) + len(other) - len(kept), count=len(mixed) + len(other)),
            },
        )

    def _left_out(self) -> Metrics:
        return {"sampler/repeated": Mean(sum=self._repeated)}

    def _round(self, number: int) -> list[Group]:
        prompts = self._prompts()
        requests = first_requests(
            (prompt for _, prompt in prompts),
            samples=self._group_size,
            sampling=self._sampling,
            seed=self._seed,
            purpose=Purpose.FIRST,
            step=number,
        )
        return scored_groups(
            [problem for problem, _ in prompts],
            requests,
            vlm=self._vlm,
            engine=self._engine,
            scorer=self._scorer,
            stopwatch=self._stopwatch,
            number=number,
        )

    def _prompts(self) -> list[tuple[Problem, Prompt]]:
        """As many different problems as the round needs, with their prompts.

        Raises:
            DatasetError: the stream has not so many.
        """
        prompts: list[tuple[Problem, Prompt]] = []
        refused_in_a_row = 0
        while len(prompts) < self._queries:
            with self._stopwatch.within("prompts"):
                problems = self._stream.take(self._queries - len(prompts))
                found = self._encoded(problems, {problem.id for problem, _ in prompts})
            prompts += found
            refused_in_a_row = 0 if found else refused_in_a_row + len(problems)
            # Problems that stand in the round already come at most twice in a row where there are enough others.
            if refused_in_a_row > 2 * self._queries + _PATIENCE:
                raise DatasetError(
                    f"sampler.queries={self._queries} different problems are needed at a time, and the training side "
                    f"of the data set has {len(prompts)} with a usable prompt; lower sampler.queries or give it more. "
                    f"{self._quarantine.summary()}"
                )
        return prompts

    def _encoded(self, problems: Sequence[Problem], taken: set[str]) -> list[tuple[Problem, Prompt]]:
        """Problems with their prompts; bad ones are quarantined, those in the round already are left out and counted.

        Keeping the latter for the next round would put their pixels into every checkpoint.
        """
        encoded: list[tuple[Problem, Prompt]] = []
        for problem in problems:
            if problem.id in taken:
                self._repeated += 1
                self._vlm.forget(problem, self._template)
                continue
            try:
                prompt = self._vlm.encode(problem, self._template, max_tokens=self._max_prompt_tokens)
            except DataError as error:
                self._quarantine.add(problem.id, str(error))
                continue
            taken.add(problem.id)
            encoded.append((problem, prompt))
        return encoded


def _tokens(groups: Sequence[Group]) -> int:
    return sum(len(rollout.token_ids) for group in groups for rollout in group.rollouts)


def is_mixed(group: Group) -> bool:
    """Whether the rewards differ, so that the group teaches something."""
    return len(set(group.rewards.tolist())) > 1
