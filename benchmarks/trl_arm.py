"""trl's arm of a training step: `GRPOTrainer`'s own loop, held at the start of every step until the step is asked for.

It is set as a careful user would set it for this work: no gradient checkpointing where memory allows, no autocast over
weights that have the right type already, no reference model (beta 0), on-policy, so that trl makes no pass for old
log-probs, fused AdamW, no loader processes, nothing logged, saved or reported. How many rows pass its learner at once
is the work's to say (`vs_trl.py --tune` measures it); generation always takes all rows together. Like ours it never
samples special tokens: with an image placeholder among the responses its forward would fail. What favours trl: it
draws its rows, which decodes their images, between the steps, outside what is timed. A step is answered when that is
done: answered before, it would run into the other arm's step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

import shapes
from passed import Passed
from rethinker.models.templates import messages
from rethinker.rewards.verifiers import verify
from rethinker.types import Problem
from turns import Clock, Ready, Step, loaded_bytes
from work import Work

LEARNING_RATE = 1e-5
CLIP_LOW, CLIP_HIGH = 0.2, 0.35


def trl(work: Work, told: Iterator[str], say: Callable[[Any], None]) -> None:
    """Serve the arm."""
    torch.set_num_threads(work.threads)
    module, processor = shapes.parts(work.model, device=work.device, dtype=work.dtype)
    problems = work.problems(processor)
    turns = Turns(work, told, say, Passed(module))
    trainer = trainer_class(turns)(
        model=module,
        reward_funcs=turns.reward({each.id: each for each in problems}),
        args=settings(work, processor),
        train_dataset=dataset(problems),
        processing_class=processor,
        callbacks=[callback(turns)],
    )
    prompts, *_ = trainer._tokenize_prompts([with_images(row) for row in dataset(problems)])
    loaded = loaded_bytes(work.device)
    say(Ready(prompts=[list(map(int, ids)) for ids in prompts], loaded_bytes=loaded))
    try:
        trainer.train()
    except EOFError:
        return
    turns.answer()


class Turns:
    """Waits for a step to be asked for, times it, and answers."""

    def __init__(self, work: Work, told: Iterator[str], say: Callable[[Any], None], passed: Passed) -> None:
        self.work, self._told, self._say, self._passed = work, told, say, passed
        self._tokens = 0
        self._clock: Clock | None = None
        self._ended: Step | None = None

    def begin(self) -> None:
        """A step begins; with given responses its clock starts later.

        Raises:
            EOFError: no more steps are asked for.
        """
        self.answer()
        if next(self._told, None) is None:
            raise EOFError
        self._passed.__enter__()
        self._passed.trained_tokens = 0
        self._clock = None if self.work.given else Clock(self.work.device)

    def prepared(self) -> None:
        """What the update reads stands ready."""
        if self._clock is None:
            self._clock = Clock(self.work.device)

    def end(self) -> None:
        """A step ended."""
        assert self._clock is not None
        self._ended = self._clock.stop(self._tokens, passed_tokens=self._passed.trained_tokens)
        self._passed.__exit__(None, None, None)

    def answer(self) -> None:
        """Say what the last step took, now that nothing of it runs any more."""
        if self._ended is not None:
            self._say(self._ended)
            self._ended = None

    def reward(self, problems: dict[str, Problem]) -> Callable[..., list[float]]:
        """The rule as a reward function, which sees how long the responses are."""

        def reward(completions: list[Any], completion_ids: list[list[int]], id: list[str], **_: Any) -> list[float]:  # noqa: A002
            self._tokens = sum(len(ids) for ids in completion_ids)
            if self.work.given:
                return [float(place % 2) for place in range(len(completions))]
            texts = [completion[0]["content"] for completion in completions]
            return [verify(problems[name], text).reward for name, text in zip(id, texts, strict=True)]

        return reward


def callback(turns: Turns) -> Any:
    """The trainer's own calls at both ends of a step."""
    from transformers import TrainerCallback

    class AtBothEnds(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            turns.begin()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            turns.end()

    return AtBothEnds()


def trainer_class(turns: Turns) -> Any:
    """trl's trainer, or with given responses one that samples nothing and says when its inputs stand."""
    from trl import GRPOTrainer

    if not turns.work.given:
        return GRPOTrainer

    class GivenTrainer(GRPOTrainer):  # type: ignore[misc]
        def _generate_single_turn(self, prompt_ids: list[Any], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
            group = turns.work.group
            return [turns.work.given_ids(place // group, place % group) for place in range(len(prompt_ids))], None

        def _prepare_inputs(self, batch: Any) -> Any:
            prepared = super()._prepare_inputs(batch)
            turns.prepared()
            return prepared

    return GivenTrainer


def dataset(problems: list[Problem]) -> Any:
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


def settings(work: Work, processor: Any) -> Any:
    """trl's configuration for the same work (see the module's docstring)."""
    from trl import GRPOConfig

    rows = work.prompts * work.group
    at_once = min(work.rows, rows)
    ends = {processor.tokenizer.eos_token_id, processor.tokenizer.pad_token_id}
    return GRPOConfig(
        output_dir=work.scratch,
        use_cpu=work.device == "cpu",
        bf16=False,
        gradient_checkpointing=work.checkpointing,
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
