"""Greedy, spontaneous accuracy on held-out problems, and what looking twice did there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rethinker.data.quarantine import Quarantine
from rethinker.errors import DataError
from rethinker.interfaces import ProblemSource, RolloutEngine, Sampling, Scorer
from rethinker.models.templates import Template
from rethinker.models.vlm import VLM
from rethinker.rollout.scoring import first_requests, scored_groups
from rethinker.rollout.second_looks import Marker, SecondLooks, spontaneous
from rethinker.seeding import Purpose
from rethinker.timing import Stopwatch
from rethinker.types import Group, Outcome, Problem, Prompt

CHUNK = 256
"""Problems encoded and held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one pass over held-out problems found, in counts: the parts of a pass add up.

    Attributes:
        outcomes: How the scoring of each answer ended.
        skipped: Rows that could not become a problem and stand in the quarantine.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    second_looks: SecondLooks = field(default_factory=SecondLooks)
    skipped: int = 0

    def __add__(self, other: Evaluation) -> Evaluation:
        """What both passes found."""
        return Evaluation(
            outcomes=self.outcomes + other.outcomes,
            second_looks=self.second_looks + other.second_looks,
            skipped=self.skipped + other.skipped,
        )

    @property
    def problems(self) -> int:
        """Problems answered."""
        return self.outcomes.total()

    @property
    def correct(self) -> int:
        """Those answered right."""
        return self.outcomes[Outcome.OK]

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
        found = Evaluation()
        for start in range(0, len(source), CHUNK):
            found += self._measured(source, range(start, min(start + CHUNK, len(source))))
        return found

    def _measured(self, source: ProblemSource, rows: Sequence[int]) -> Evaluation:
        """One chunk, of which nothing but counts is kept."""
        readable = self._readable(source, rows)
        groups = self._answered(readable)
        return Evaluation(
            outcomes=Counter(group.rollouts[0].verdict.outcome for group in groups),
            second_looks=spontaneous(groups, self._scorer, self._marker),
            skipped=len(rows) - len(readable),
        )

    def _readable(self, source: ProblemSource, rows: Sequence[int]) -> list[tuple[Problem, Prompt]]:
        """Problems and prompts of the rows that can become one."""
        readable = []
        for row in rows:
            self._quarantine.saw_held_out(source.id(row))
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
