"""Greedy, spontaneous accuracy on held-out problems, and what looking twice did there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rethinker.data.quarantine import Quarantine
from rethinker.errors import DataError
from rethinker.interfaces import ProblemSource, RolloutEngine, Sampling, Scorer
from rethinker.models.templates import Template
from rethinker.models.vlm import VLM
from rethinker.rollout.scoring import first_requests, scored_groups
from rethinker.rollout.second_looks import Marker, SecondLooks, spontaneous
from rethinker.seeding import Purpose
from rethinker.timing import Stopwatch
from rethinker.types import Group, Problem, Prompt

CHUNK = 256
"""Problems encoded and held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one pass over held-out problems found.

    Attributes:
        problems: Problems answered; `skipped` rows could not become one and stand in the quarantine.
        by_source: (right, answered) per source of the problems.
    """

    problems: int
    correct: int
    skipped: int
    second_looks: SecondLooks
    by_source: dict[str, tuple[int, int]]

    @property
    def accuracy(self) -> float:
        """Share right of those answered; 0 when none was."""
        return self.correct / self.problems if self.problems else 0.0

    @property
    def rethinking(self) -> float:
        """Share of responses that looked twice unasked."""
        return self.second_looks.rethought / self.problems if self.problems else 0.0


class HeldOut:
    """Measures the engine's current policy on a source, the same way each time.

    Args:
        quarantine: Where rows go that cannot become a prompt.
    """

    def __init__(
        self,
        *,
        vlm: VLM,
        engine: RolloutEngine,
        scorer: Scorer,
        quarantine: Quarantine,
        template: Template,
        max_prompt_tokens: int,
        max_tokens: int,
        marker: Marker,
    ) -> None:
        self._vlm = vlm
        self._engine = engine
        self._scorer = scorer
        self._quarantine = quarantine
        self._template: Template = template
        self._max_prompt_tokens = max_prompt_tokens
        self._sampling = Sampling(temperature=0.0, max_tokens=max_tokens)
        self._marker = marker

    def evaluate(self, source: ProblemSource) -> Evaluation:
        """Answer every problem of a source once, greedily.

        Raises:
            DatasetError: too large a share of the rows is bad.
        """
        groups: list[Group] = []
        skipped = 0
        for start in range(0, len(source), CHUNK):
            readable = self._readable(source, range(start, min(start + CHUNK, len(source))))
            skipped += min(CHUNK, len(source) - start) - len(readable)
            groups += self._answered(readable)
        return Evaluation(
            problems=len(groups),
            correct=sum(_correct(group) for group in groups),
            skipped=skipped,
            second_looks=spontaneous(groups, self._scorer, self._marker),
            by_source=_by_source(groups),
        )

    def _readable(self, source: ProblemSource, rows: Sequence[int]) -> list[tuple[Problem, Prompt]]:
        """Problems and prompts of the rows that can become one."""
        readable = []
        for row in rows:
            self._quarantine.saw()
            try:
                problem = source[row]
                prompt = self._vlm.encode(problem, self._template, max_tokens=self._max_prompt_tokens)
            except DataError as error:
                self._quarantine.add(source.id(row), str(error))
                continue
            readable.append((problem, prompt))
        return readable

    def _answered(self, readable: Sequence[tuple[Problem, Prompt]]) -> list[Group]:
        requests = first_requests(
            (prompt for _, prompt in readable),
            samples=1,
            sampling=self._sampling,
            seed=0,
            purpose=Purpose.EVALUATION,
            step=0,
        )
        return scored_groups(
            [problem for problem, _ in readable],
            requests,
            vlm=self._vlm,
            engine=self._engine,
            scorer=self._scorer,
            stopwatch=Stopwatch(),
        )


def _correct(group: Group) -> bool:
    return group.rollouts[0].verdict.correct


def _by_source(groups: Sequence[Group]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for group in groups:
        right, answered = found.get(group.problem.source, (0, 0))
        found[group.problem.source] = (right + _correct(group), answered + 1)
    return found
