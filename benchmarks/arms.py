"""Our arm and trl's: worker processes that do one training step whenever they are told to (`turns.py`).

    python benchmarks/arms.py {ours,trl} '<Work as JSON>'

A step is the same work in both arms: chat template, tokeniser and image processor for every prompt, sample G responses
per prompt, score each with the same rule in the same process, advantages r − mean, clipped surrogate with the sequence
mean, gradient norm clipped at 1, one AdamW update. No KL, no second look. Where the responses are given, what is timed
begins when they and their pixels stand ready, and ends with the optimiser's step.

Our arm is the library's own path. Its scorer runs the rule in this process instead of the worker pool, as trl's reward
function does; `trl_arm.py` says how trl is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import torch

import shapes
import trl_arm
from passed import Passed
from rethinker.algo.advantages import grpo
from rethinker.algo.credit import credit
from rethinker.interfaces import Sampling, Scorer
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.adapters import recompute_activations
from rethinker.models.vlm import VLM
from rethinker.rewards.verifiers import verify
from rethinker.rollout.scoring import first_requests, scored_groups
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.seeding import Purpose
from rethinker.timing import Stopwatch
from rethinker.types import Experience, Problem, Verdict
from turns import Clock, Ready, loaded_bytes, serve
from work import Work, experiences


class InlineScorer(Scorer):
    """Runs the rule at once, in this process."""

    def submit(self, problem: Problem, response: str) -> Future[Verdict]:
        """Score a response."""
        scored: Future[Verdict] = Future()
        scored.set_result(verify(problem, response))
        return scored

    def close(self) -> None:
        """Nothing is held."""


def learner(vlm: VLM, work: Work) -> PolicyLearner:
    """Our learner, set for this work; like trl's it keeps weights, gradients and moments in the model's own type."""
    settings = Optimisation(
        steps=work.steps,
        lr=trl_arm.LEARNING_RATE,
        warmup=0,
        final_lr=1,
        micro_batch_tokens=work.micro_batch_tokens,
        master_weights=False,
    )
    objective = Objective(clip_low=trl_arm.CLIP_LOW, clip_high=trl_arm.CLIP_HIGH)
    return PolicyLearner(vlm, objective=objective, optimisation=settings)


def ours(work: Work, told: Iterator[str], say: Callable[[Any], None]) -> None:
    """Our arm."""
    torch.set_num_threads(work.threads)
    vlm = shapes.load(work.model, device=work.device, dtype=work.dtype)
    if work.checkpointing:
        recompute_activations(vlm.module)
    engine = TorchEngine(vlm, max_rows=work.prompts * work.group)
    trained = learner(vlm, work)
    problems = work.problems(vlm.processor)
    prompts = [vlm.encode(each, "plain") for each in problems]
    given = [
        experience
        for number, prompt in enumerate(prompts)
        for experience in experiences(prompt, [work.given_ids(number, sample) for sample in range(work.group)])
    ]
    say(Ready(prompts=[prompt.token_ids.tolist() for prompt in prompts], loaded_bytes=loaded_bytes(work.device)))
    for number, _ in enumerate(told):
        with Passed(vlm.module) as passed:
            clock = Clock(work.device)
            tokens = update(trained, given) if work.given else our_step(work, problems, vlm, engine, trained, number)
            say(clock.stop(tokens, passed_tokens=passed.trained_tokens))


def update(trained: PolicyLearner, chosen: list[Experience]) -> int:
    """One update; the response tokens in it."""
    trained.update(chosen)
    return sum(len(experience.rollout.token_ids) for experience in chosen)


def our_step(
    work: Work, problems: list[Problem], vlm: VLM, engine: TorchEngine, trained: PolicyLearner, number: int
) -> int:
    """One step; its response tokens."""
    requests = first_requests(
        [vlm.encode(problem, "plain") for problem in problems],
        samples=work.group,
        sampling=Sampling(min_tokens=work.least, max_tokens=work.most),
        seed=0,
        purpose=Purpose.FIRST,
        step=number,
    )
    groups = scored_groups(problems, requests, vlm=vlm, engine=engine, scorer=InlineScorer(), stopwatch=Stopwatch())
    chosen = [
        experience
        for group in groups
        for experience in credit(group, advantages=grpo, normalisation="sequence_mean", imitation="second_look")
    ]
    tokens = update(trained, chosen)
    trained.policy_synced(number + 1)
    engine.load_weights(iter(()), number + 1)
    return tokens


if __name__ == "__main__":
    serve({"ours": ours, "trl": trl_arm.trl}, Work.read)
