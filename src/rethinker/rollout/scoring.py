"""From completions to scored groups: text is decoded, verified elsewhere while sampling goes on, and gathered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future

import numpy as np

from rethinker.interfaces import Request, RolloutEngine, Sampling, Scorer
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.seeding import Purpose, key
from rethinker.timing import Stopwatch
from rethinker.types import Completion, Group, Problem, Prompt, Rollout, Verdict

NO_PREFIX = np.zeros(0, dtype=np.int64)


def first_requests(
    prompts: Iterable[Prompt], *, samples: int, sampling: Sampling, seed: int, purpose: Purpose, step: int
) -> list[Request]:
    """One request per prompt for fresh responses, every sample with a seed of its own."""
    return [
        Request(
            id=prompt.problem_id,
            prompt=prompt,
            prefix=NO_PREFIX,
            sampling=sampling,
            seeds=tuple(
                key(seed, purpose, step=step, problem_id=prompt.problem_id, sample=sample) for sample in range(samples)
            ),
        )
        for prompt in prompts
    ]


def scored_groups(
    problems: Sequence[Problem],
    requests: Sequence[Request],
    *,
    vlm: VLM,
    engine: RolloutEngine,
    scorer: Scorer,
    stopwatch: Stopwatch,
    number: int = 0,
) -> list[Group]:
    """Generate and verify; `requests` holds one request per problem, under the problem's id; `number` is the round."""
    by_id: Mapping[str, Problem] = {problem.id: problem for problem in problems}
    prompts = {request.id: request.prompt for request in requests}
    scored: list[tuple[Completion, str, Future[Verdict]]] = []
    with stopwatch("generate"):
        for completion in generate(engine, requests):
            text = vlm.decode(completion.token_ids)
            scored.append((completion, text, scorer.submit(by_id[completion.request_id], text)))
    members: dict[str, list[Rollout]] = {problem.id: [] for problem in problems}
    with stopwatch("verify"):
        for completion, text, verdict in scored:
            members[completion.request_id].append(
                _rollout(prompts[completion.request_id], completion, text, verdict.result())
            )
    return [
        Group(
            problem=problem,
            rollouts=tuple(sorted(members[problem.id], key=lambda rollout: rollout.sample)),
            round=number,
        )
        for problem in problems
    ]


def _rollout(prompt: Prompt, completion: Completion, text: str, verdict: Verdict) -> Rollout:
    return Rollout(
        prompt=prompt,
        sample=completion.sample,
        token_ids=completion.token_ids,
        logprobs=completion.logprobs,
        forced=np.zeros(len(completion.token_ids), dtype=np.bool_),
        text=text,
        finish_reason=completion.finish_reason,
        policy_version=completion.policy_version,
        verdict=verdict,
    )
