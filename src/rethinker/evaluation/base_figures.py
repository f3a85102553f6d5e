"""The five figures of a base policy: how well it answers fast and slow, which it does, and what sampling could find.

RL needs a base that can do what it seldom does. "On its own" means that a style's first tokens are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rethinker.interfaces import RolloutEngine, Sampling, Scorer
from rethinker.models.templates import Template
from rethinker.models.vlm import VLM
from rethinker.rollout.scoring import first_requests, scored_groups
from rethinker.rollout.second_looks import Marker
from rethinker.seeding import Purpose
from rethinker.timing import Stopwatch
from rethinker.types import Group, Problem

SAMPLES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFigures:
    """Shares of problems, or of sampled responses.

    Attributes:
        direct: Greedy accuracy of direct answers on their own.
        worked: Greedy accuracy of worked answers on their own.
        greedy: Greedy accuracy with nothing given.
        pass_at_1: Accuracy of responses sampled at temperature 1.
        pass_at_8: Share of problems that one of 8 such responses solves.
        rethinking: Share of those responses that look twice unasked.
        worked_share: Share of those responses that begin as worked answers do.
    """

    problems: int
    direct: float
    worked: float
    greedy: float
    pass_at_1: float
    pass_at_8: float
    rethinking: float
    worked_share: float


def measure(
    problems: Sequence[Problem],
    *,
    vlm: VLM,
    engine: RolloutEngine,
    scorer: Scorer,
    template: Template,
    starts: tuple[str, str],
    max_tokens: int,
) -> BaseFigures:
    """Measure a base.

    Args:
        starts: First words of direct and of worked answers.
    """
    prompts = [vlm.encode(problem, template) for problem in problems]

    def answered(start: str, *, samples: int, temperature: float) -> list[Group]:
        requests = first_requests(
            prompts,
            samples=samples,
            sampling=Sampling(temperature=temperature, max_tokens=max_tokens),
            seed=0,
            purpose=Purpose.EVALUATION,
            step=1,
        )
        given = vlm.tokenize(start)
        return scored_groups(
            problems,
            [replace(request, prefix=given) for request in requests],
            vlm=vlm,
            engine=engine,
            scorer=scorer,
            stopwatch=Stopwatch(),
        )

    marker = Marker()
    direct, worked, greedy = (answered(start, samples=1, temperature=0.0) for start in (*starts, ""))
    sampled = answered("", samples=SAMPLES, temperature=1.0)
    responses = [rollout for group in sampled for rollout in group.rollouts]
    return BaseFigures(
        problems=len(problems),
        direct=_accuracy(direct),
        worked=_accuracy(worked),
        greedy=_accuracy(greedy),
        pass_at_1=_accuracy(sampled),
        pass_at_8=float(np.mean([any(r.verdict.correct for r in group.rollouts) for group in sampled])),
        rethinking=float(np.mean([marker.before(rollout.text) is not None for rollout in responses])),
        worked_share=float(np.mean([rollout.text.startswith(starts[1]) for rollout in responses])),
    )


def _accuracy(groups: Sequence[Group]) -> float:
    return float(np.mean([rollout.verdict.correct for group in groups for rollout in group.rollouts]))
