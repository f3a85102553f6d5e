"""The two arms of `vs_trl.py`: a worker process that does one training step whenever it is told to.

    python benchmarks/arms.py {ours,trl} '<Work as JSON>'

It speaks lines of JSON: it says `Ready` when it stands, does a step for every line it reads, answers each with a
`Step`, and ends when its input does. One worker computes while the other waits, so the arms share the machine's mood
but neither memory nor caches of Python.

A step is the same work in both arms: chat template, tokeniser and image processor for every prompt, sample G responses
per prompt, score each with the same rule in the same process, advantages r − mean, clipped surrogate with the sequence
mean, gradient norm clipped at 1, one AdamW update. No KL, no second look.

trl's arm is set as a careful user would set it for this work on a CPU: float32 without autocast, no gradient
checkpointing, no reference model (beta 0), on-policy, so that trl makes no pass for old log-probs, fused AdamW, no
loader processes, nothing logged, saved or reported. `ROWS` rows pass its learner at once, the fastest of 128, 64, 32
and 16 here; generation always takes all rows together. Like ours it never samples special tokens: with an image
placeholder among the responses its forward would fail. What favours trl: it draws its rows, which decodes their
images, between the steps, outside what is timed.

Our arm is the library's own path, set the same way. Its scorer runs the rule in this process instead of the worker
pool, as trl's reward function does.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import torch

from rethinker.algo.advantages import grpo
from rethinker.algo.credit import credit
from rethinker.data.gym.catalogue import GymId, problem
from rethinker.interfaces import Sampling, Scorer
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.loading import load
from rethinker.models.templates import messages
from rethinker.models.vlm import VLM
from rethinker.rewards.verifiers import verify
from rethinker.rollout.scoring import first_requests, scored_groups
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.seeding import Purpose
from rethinker.timing import Stopwatch
from rethinker.types import Problem, Verdict

LEARNING_RATE = 1e-5
CLIP_LOW, CLIP_HIGH = 0.2, 0.35
ROWS = 32
MICRO_BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one step does.

    Attributes:
        folder: The model, a Hugging Face folder.
        scratch: Where a trainer may put what it must.
        families: Gym families the problems are taken from in turn, all with as many images.
        least: Fewest tokens of a response.
        most: Most tokens of a response.
        steps: Steps that will be asked for, at most.
    """

    folder: str
    scratch: str
    families: tuple[str, ...]
    prompts: int
    group: int
    least: int
    most: int
    threads: int
    steps: int

    def problems(self) -> list[Problem]:
        """The problems of every step."""
        names = [self.families[index % len(self.families)] for index in range(self.prompts)]
        return [problem(GymId(family=name, level=1, split="train", index=index)) for index, name in enumerate(names)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A worker stands: the tokens of its prompts, and its memory so far."""

    prompts: list[list[int]]
    loaded_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: its wall seconds, its processor seconds over all threads, the mean length of its responses, and the
    process's peak memory so far."""

    seconds: float
    cpu_seconds: float
    response_tokens: float
    peak_bytes: int


class InlineScorer(Scorer):
    """Runs the rule at once, in this process."""

    def submit(self, problem: Problem, response: str) -> Future[Verdict]:
        """Score a response."""
        scored: Future[Verdict] = Future()
        scored.set_result(verify(problem, response))
        return scored

    def close(self) -> None:
        """Nothing is held."""


class Clock:
    """Runs from its making to `stop`."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, response_tokens: float) -> Step:
        """The step that just ended."""
        return Step(
            seconds=time.perf_counter() - self._wall,
            cpu_seconds=time.process_time() - self._cpu,
            response_tokens=response_tokens,
            peak_bytes=peak_bytes(),
        )


def peak_bytes() -> int:
    """Peak resident set of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ours(work: Work, told: Iterator[str], say: Callable[[Any], None]) -> None:
    """Our arm."""
    vlm = load(work.folder, device="cpu")
    engine = TorchEngine(vlm, max_rows=work.prompts * work.group)
    settings = Optimisation(
        steps=work.steps, lr=LEARNING_RATE, warmup=0, final_lr=1, micro_batch_tokens=MICRO_BATCH_TOKENS
    )
    learner = PolicyLearner(vlm, objective=Objective(clip_low=CLIP_LOW, clip_high=CLIP_HIGH), optimisation=settings)
    problems = work.problems()
    prompts = [vlm.encode(each, "plain") for each in problems]
    say(Ready(prompts=[prompt.token_ids.tolist() for prompt in prompts], loaded_bytes=peak_bytes()))
    for number, _ in enumerate(told):
        clock = Clock()
        tokens = our_step(work, problems, vlm, engine, learner, number)
        say(clock.stop(tokens))


def our_step(
    work: Work, problems: list[Problem], vlm: VLM, engine: TorchEngine, learner: PolicyLearner, number: int
) -> float:
    """One step of ours; returns the mean response length."""
    requests = first_requests(
        [vlm.encode(each, "plain") for each in problems],
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
    learner.update(chosen)
    learner.policy_synced(number + 1)
    engine.load_weights(iter(()), number + 1)
    return statistics.mean(len(experience.rollout.token_ids) for experience in chosen)


def trl(work: Work, told: Iterator[str], say: Callable[[Any], None]) -> None:
    """trl's arm: its trainer's own loop, held at the start of every step until the step is asked for."""
    from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
    from trl import GRPOTrainer

    processor = AutoProcessor.from_pretrained(work.folder, padding_side="left")
    model = AutoModelForImageTextToText.from_pretrained(work.folder, dtype=torch.float32)
    problems = {each.id: each for each in work.problems()}
    lengths: list[int] = []

    def reward(completions: list[Any], completion_ids: list[list[int]], id: list[str], **_: Any) -> list[float]:  # noqa: A002
        lengths[:] = [len(ids) for ids in completion_ids]
        texts = [completion[0]["content"] for completion in completions]
        return [verify(problems[name], text).reward for name, text in zip(id, texts, strict=True)]

    class Turns(TrainerCallback):  # type: ignore[misc]
        """Waits for its turn before a step and reports after it."""

        clock: Clock

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if next(told, None) is None:
                raise EOFError
            self.clock = Clock()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            say(self.clock.stop(statistics.mean(lengths)))

    rows = trl_rows(list(problems.values()))
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=trl_settings(work, processor),
        train_dataset=rows,
        processing_class=processor,
        callbacks=[Turns()],
    )
    prompts, *_ = trainer._tokenize_prompts([with_images(row) for row in rows])
    say(Ready(prompts=[list(map(int, ids)) for ids in prompts], loaded_bytes=peak_bytes()))
    try:
        trainer.train()
    except EOFError:
        return


def trl_rows(problems: list[Problem]) -> Any:
    """The problems as trl wants them: a conversation and its images."""
    from datasets import Dataset
    from PIL import Image

    return Dataset.from_list(
        [
            {
                "id": each.id,
                "prompt": messages(each.question, "plain"),
                "images": [Image.fromarray(image.pixels) for image in each.images],
            }
            for each in problems
        ]
    )


def with_images(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row's conversation as trl makes it before it tokenises."""
    from trl.data_utils import prepare_multimodal_messages

    prepared: list[dict[str, Any]] = prepare_multimodal_messages(row["prompt"], images=row["images"])
    return prepared


def trl_settings(work: Work, processor: Any) -> Any:
    """trl's configuration for the same work (see the module's docstring)."""
    from trl import GRPOConfig

    rows = work.prompts * work.group
    at_once = min(ROWS, rows)
    ends = {processor.tokenizer.eos_token_id, processor.tokenizer.pad_token_id}
    return GRPOConfig(
        output_dir=work.scratch,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=rows // at_once,
        num_generations=work.group,
        max_completion_length=work.most,
        generation_kwargs={
            "min_new_tokens": work.least,
            "suppress_tokens": sorted(set(processor.tokenizer.all_special_ids) - ends),
        },
        shuffle_dataset=False,
        beta=0.0,
        num_iterations=1,
        epsilon=CLIP_LOW,
        epsilon_high=CLIP_HIGH,
        loss_type="grpo",
        scale_rewards="none",
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        max_steps=work.steps,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=0,
    )


def main() -> None:
    """Serve one arm."""
    arm, stated = sys.argv[1:]
    work = Work(**{**json.loads(stated), "families": tuple(json.loads(stated)["families"])})
    torch.set_num_threads(work.threads)
    answers = own_output()

    def say(message: Any) -> None:
        print(json.dumps(asdict(message)), file=answers, flush=True)

    {"ours": ours, "trl": trl}[arm](work, iter(sys.stdin), say)


def own_output() -> TextIO:
    """Standard output for answers alone: whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
