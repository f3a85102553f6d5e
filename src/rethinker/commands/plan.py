"""`rethinker plan`: what a recipe will need, before anything is downloaded or started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from rethinker.build import choose_trained
from rethinker.config import Config
from rethinker.config_files import load
from rethinker.planning import architecture, memory
from rethinker.planning.compute import GENERATION_MFU, LEARNER_MFU, Estimate, Step, estimate
from rethinker.planning.memory import Memory
from rethinker.planning.shapes import Architecture, MicroBatch, micro_batch

BYTES = {"float32": 4, "bfloat16": 2}
PEAK = {"float32": 67e12, "bfloat16": 989e12}
"""Operations per second of one H100 in each type."""

USABLE = 0.9
"""Share of a GPU's memory that a plan may use; the rest is the CUDA context, workspaces and fragments."""

TRIGGER_TOKENS = 16
"""Room for a trigger between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a configuration needs on each of `gpus` GPUs."""

    model: Architecture
    memory: Memory
    step: Step
    estimate: Estimate
    gpus: int

    def fits(self, gigabytes: float) -> bool:
        """Whether the peak leaves a GPU of so much memory its reserve."""
        return self.memory.peak <= gigabytes * 1e9 * USABLE


def plan(files: Sequence[Path], overrides: Sequence[str], *, gpus: int, gigabytes: float) -> bool:
    """Print the plan of a recipe, and where it does not fit, what would make it; whether it fits.

    Raises:
        ConfigError: the recipe does not resolve.
        ModelError: the model's shape is not known here.
    """
    config = load(files, overrides)
    found = plan_of(config, shape(config), gpus=gpus)
    console = Console()
    _show(console, config, found)
    need, fits = found.memory.peak / 1e9, found.fits(gigabytes)
    console.print(
        f"\n{need:.1f} GB of {gigabytes:g} GB per GPU: {'fits' if fits else 'does not fit'} "
        f"({1 - USABLE:.0%} is left to the CUDA context and fragments)",
        highlight=False,
        soft_wrap=True,
    )
    if not fits:
        remedy = _remedy(files, overrides, found, gigabytes)
        console.print(f"to make it fit: {remedy}", highlight=False, soft_wrap=True)
    return fits


def shape(config: Config) -> Architecture:
    """The shape of a configuration's model, with what it freezes and adapts.

    Raises:
        ModelError: the model's shape is not known here.
    """
    return architecture.read(config.model.path, partial(choose_trained, config=config))


def plan_of(config: Config, model: Architecture, *, gpus: int) -> Plan:
    """The plan of a resolved configuration whose model has this shape."""
    width = BYTES[config.model.dtype]
    reference = bool(config.objective.kl_coefficient) and config.model.adapter.kind == "none"
    needed = Memory(
        stays=memory.kept(model, width=width, reference=reference, gpus=gpus),
        update=memory.of_update(
            model, _batch(config, model, share=1.0), width=width,
            checkpointed=config.model.gradient_checkpointing, gpus=gpus,
        ),
        generation=_generation(config, model, width, gpus),
    )  # fmt: skip
    step = _step(config, model)
    time = estimate(
        model,
        step,
        checkpointed=config.model.gradient_checkpointing,
        gpus=gpus,
        peak=PEAK[config.model.dtype],
        group_size=config.sampler.group_size,
    )
    return Plan(model=model, memory=needed, step=step, estimate=time, gpus=gpus)


def _response_tokens(config: Config) -> int:
    """The longest response that is trained on: first look, trigger and second look where one is forced."""
    first = config.sampler.first.max_tokens
    if config.rethink.kind == "none":
        return first
    both = first + TRIGGER_TOKENS + config.rethink.second_look.max_tokens
    return max(first, min(both, config.rethink.max_total_tokens - config.prompt.max_tokens))


def _batch(config: Config, model: Architecture, *, share: float) -> MicroBatch:
    """The learner's forward with prompts and responses at this share of their limits."""
    prompt = int(config.prompt.max_tokens * share)
    return micro_batch(
        prompt_tokens=prompt,
        response_tokens=int(_response_tokens(config) * share),
        image_tokens=_image_tokens(config, model, prompt),
        group_size=config.sampler.group_size,
        shared=config.learner.share_prompts,
        budget=config.learner.micro_batch_tokens,
    )


def _image_tokens(config: Config, model: Architecture, prompt: int) -> int:
    """At most what `max_pixels` allows; all of the prompt where it says nothing."""
    if model.vision is None:
        return 0
    return min(prompt, model.image_tokens(config.model.max_pixels)) if config.model.max_pixels else prompt


def _generation(config: Config, model: Architecture, width: int, gpus: int) -> dict[str, int]:
    """The larger of a wave of first looks and one of second looks, which continue a response each."""
    group, prompt, first = config.sampler.group_size, config.prompt.max_tokens, config.sampler.first.max_tokens
    rows = max(group, min(config.engine.max_rows, config.sampler.queries * group))
    wave = partial(memory.of_generation, model, rows=rows, width=width, gpus=gpus)
    waves = [wave(prompts=-(-rows // group), prompt_tokens=prompt, response_tokens=first)]
    if config.rethink.kind == "forced":
        second = config.rethink.second_look.max_tokens
        waves.append(wave(prompts=rows, prompt_tokens=prompt + first + TRIGGER_TOKENS, response_tokens=second))
    return max(waves, key=lambda parts: sum(parts.values()))


def _step(config: Config, model: Architecture) -> Step:
    """One update and its share of an episode, with prompts and responses half as long as they may be."""
    queries, group = config.sampler.queries / config.train.updates_per_episode, config.sampler.group_size
    usual = _batch(config, model, share=0.5)
    forced = config.rethink if config.rethink.kind == "forced" else None
    return Step(
        prompts=queries * group / (usual.responses / usual.prompts),
        prompt_tokens=usual.prompt_tokens,
        image_tokens=usual.image_tokens,
        responses=queries * group,
        response_tokens=config.sampler.first.max_tokens // 2,
        looks=queries * group * forced.share if forced else 0.0,
        look_tokens=forced.second_look.max_tokens // 2 if forced else 0,
    )


def _remedy(files: Sequence[Path], overrides: Sequence[str], found: Plan, gigabytes: float) -> str:
    """The mildest overrides with which it fits; an adapter, or more GPUs, where those do not do."""

    def least(gpus: int, model: Architecture, changes: dict[str, str]) -> str | None:
        """Overrides that fit, from `changes` on, one more at a time."""
        while True:
            config = load(files, [*overrides, *_spelt(changes)])
            now = plan_of(config, model, gpus=gpus)
            if now.fits(gigabytes):
                return " ".join(_spelt(changes))
            milder = _milder(config, now)
            if milder is None:
                return None
            changes = changes | milder

    if mild := least(found.gpus, found.model, {}):
        return mild
    adapter = {"model.adapter.kind": "lora", "model.dtype": "bfloat16"}
    answers = [least(found.gpus, shape(load(files, [*overrides, *_spelt(adapter)])), adapter)]
    more = (found.gpus * 2**power for power in range(1, 11))
    answers.append(
        next((f"{fits} --gpus {gpus}" for gpus in more if (fits := least(gpus, found.model, {})) is not None), None)
    )
    return "; or ".join(answer.strip() for answer in answers if answer) or "GPUs with more memory"


def _milder(config: Config, now: Plan) -> dict[str, str] | None:
    """One change that lessens the larger of the two peaks; None when there is none left."""
    group, rows, tokens = config.sampler.group_size, config.engine.max_rows, config.learner.micro_batch_tokens
    least = config.prompt.max_tokens + _response_tokens(config)
    if sum(now.memory.generation.values()) > sum(now.memory.update.values()):
        return {"engine.max_rows": str(max(group, rows // 2))} if rows > group else None
    if not config.model.gradient_checkpointing:
        return {"model.gradient_checkpointing": "true"}
    return {"learner.micro_batch_tokens": str(max(least, tokens // 2))} if tokens > least else None


def _spelt(changes: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in changes.items()]


def _show(console: Console, config: Config, found: Plan) -> None:
    """Parameters, memory, tokens and time."""
    parameters = Table("parameters", "total", "trained", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    total = found.model.total
    for part, count in {**found.model.parameters, "together": total}.items():
        parameters.add_row(part, f"{count.total / 1e6:,.1f} M", f"{count.trained / 1e6:,.1f} M")
    sizes = Table("memory per GPU", "at the peak of", "GB", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for moment, parts in (
        ("both", found.memory.stays),
        ("an update", found.memory.update),
        ("generation", found.memory.generation),
    ):
        for part, size in parts.items():
            sizes.add_row(part, moment, f"{size / 1e9:,.2f}")
    for table in (parameters, sizes):
        for column in table.columns[1:]:
            column.justify = "right"
        console.print()
        console.print(table)
    step, time = found.step, found.estimate
    console.print(
        f"\na step at half of the longest prompts and responses: {step.learned_tokens:,.0f} tokens learned, "
        f"{step.sampled_tokens:,.0f} sampled\nabout {time.seconds:,.0f} s: learning {time.learning:,.0f} s, generating "
        f"{time.generating:,.0f} s, at {LEARNER_MFU:.0%} and {GENERATION_MFU:.0%} of "
        f"{PEAK[config.model.dtype] / 1e12:,.0f} TFLOPS ({config.model.dtype} on an H100)",
        highlight=False,
        soft_wrap=True,
    )
    if found.gpus > 1:
        console.print(
            f"over {found.gpus} GPUs: weights, gradients and optimiser cut into equal parts, responses shared out "
            "(a plan only: this version trains on one)",
            highlight=False,
            soft_wrap=True,
        )
