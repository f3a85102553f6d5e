"""`rethinker plan`: what a recipe will need, before anything is downloaded or started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from rethinker.build_learner import choose_trained
from rethinker.commands.plan_cluster import BYTES, Hardware, Layout, cluster_of, work_of
from rethinker.commands.plan_cluster import show as show_cluster
from rethinker.config import Config, SamplingConfig
from rethinker.config_files import load
from rethinker.evaluation.held_out import CHUNK
from rethinker.planning import architecture, generation, memory
from rethinker.planning.compute import GENERATION_MFU, LEARNER_MFU, Estimate, Step, estimate
from rethinker.planning.generation import FILTERED, GREEDY, SAMPLED, Asked, Bounds
from rethinker.planning.memory import Memory
from rethinker.planning.phases import USABLE
from rethinker.planning.shapes import Architecture, fullest, responses_together

PEAK = {"float32": 67e12, "bfloat16": 989e12}
"""Operations per second of one H100 in each type."""

_VLLM_READ_TOKENS = 8192
"""Tokens that vLLM reads in one forward."""

UPDATE = "update"

TRIGGER_TOKENS = 16
"""Room for a trigger between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a configuration needs on each of `gpus` GPUs.

    Attributes:
        rows: Samples that decode together, by what is generated.
    """

    model: Architecture
    memory: Memory
    rows: Mapping[str, int]
    step: Step
    estimate: Estimate
    gpus: int

    def fits(self, gigabytes: float) -> bool:
        """Whether the peak leaves a GPU of so much memory its reserve."""
        return self.memory.peak <= gigabytes * 1e9 * USABLE


def plan(files: Sequence[Path], overrides: Sequence[str], asked: Hardware) -> bool:
    """Print the plan of a recipe, and where it does not fit, what would make it; whether it fits.

    Raises:
        ConfigError: the recipe does not resolve, or the GPUs cannot be laid out so.
        ModelError: the model's shape is not known here.
    """
    config = load(files, overrides)
    model = shape(config)
    cluster = cluster_of(config, model, asked)
    gpus, gigabytes = cluster.ranks, cluster.gpu.memory / 1e9
    found = plan_of(config, model, gpus=gpus)
    console = Console()
    _show(console, config, found)
    need, fits = found.memory.peak / 1e9, found.fits(gigabytes)
    _say(
        console,
        f"\n{need:.1f} GB of {gigabytes:g} GB per GPU: {'fits' if fits else 'does not fit'} "
        f"({1 - USABLE:.0%} is left to the CUDA context and fragments)",
    )
    if not fits:
        remedy = _remedy(files, overrides, found, gigabytes)
        _say(console, f"to make it fit: {remedy}")
    if asked.gpus > 1:
        work = work_of(config, found.step)
        laid = Layout(
            kind=asked.kind, model=model, work=work, cluster=cluster, learner=partial(learner_memory, config, model)
        )
        show_cluster(console, laid)
    return fits


def learner_memory(config: Config, model: Architecture, ranks: int) -> Memory:
    """Memory on each of so many ranks."""
    return plan_of(config, model, gpus=ranks).memory


def shape(config: Config) -> Architecture:
    """The shape of a configuration's model, with what it freezes and adapts.

    Raises:
        ModelError: the model's shape is not known here.
    """
    return architecture.read(config.model.path, partial(choose_trained, config=config))


def plan_of(config: Config, model: Architecture, *, gpus: int) -> Plan:
    """The plan of a resolved configuration whose model has this shape."""
    width, masters, step = BYTES[config.model.dtype], config.learner.master_weights, _step(config, model)
    reference = bool(config.objective.kl_coefficient) and config.model.adapter.kind == "none"
    asked, bounds = _asked(config, model), _bounds(config)
    stays = memory.kept(
        model,
        width=width,
        masters=masters,
        eight_bit=config.learner.optimizer == "adamw_8bit",
        reference=reference,
        gpus=gpus,
    )
    copied = _engine_weights(config, model, width)
    sleeps = config.engine.kind == "vllm" and config.engine.sleep
    moments = {UPDATE: _update(config, model, width, gpus) | ({} if sleeps else copied)} | {
        name: generation.of_generation(model, each, bounds, width=width, gpus=gpus) | copied
        for name, each in asked.items()
    }
    token_bytes = generation.token_bytes(model, width)
    return Plan(
        model=model,
        memory=Memory(stays=stays, moments=moments),
        rows={name: generation.rows_together(each, bounds, token_bytes=token_bytes) for name, each in asked.items()},
        step=step,
        estimate=estimate(
            model,
            step,
            checkpointed=config.model.gradient_checkpointing,
            gpus=gpus,
            peak=PEAK[config.model.dtype],
            group_size=config.sampler.group_size,
        ),
        gpus=gpus,
    )


def _response_tokens(config: Config) -> int:
    """The longest response that is trained on: first look, trigger and second look where one is forced."""
    first = config.sampler.first.max_tokens
    if config.rethink.kind == "none":
        return first
    both = first + TRIGGER_TOKENS + config.rethink.second_look.max_tokens
    return max(first, min(both, config.rethink.max_total_tokens - config.prompt.max_tokens))


def _update(config: Config, model: Architecture, width: int, gpus: int) -> dict[str, int]:
    """Of the fullest micro-batches the one that needs most."""
    prompt = config.prompt.max_tokens
    batches = fullest(
        prompt_tokens=prompt,
        response_tokens=_response_tokens(config),
        image_tokens=_image_tokens(config, model, prompt),
        group_size=config.sampler.group_size,
        shared=config.learner.share_prompts,
        budget=config.learner.micro_batch_tokens,
    )
    updates = (
        memory.of_update(
            model,
            batch,
            width=width,
            checkpointed=config.model.gradient_checkpointing,
            masters=config.learner.master_weights,
            gpus=gpus,
        )
        for batch in batches
    )
    return max(updates, key=lambda parts: sum(parts.values()))


def _image_tokens(config: Config, model: Architecture, prompt: int) -> int:
    """At most what `max_pixels` allows; all of the prompt where it says nothing."""
    if model.vision is None:
        return 0
    return min(prompt, model.image_tokens(config.model.max_pixels)) if config.model.max_pixels else prompt


def _engine_weights(config: Config, model: Architecture, width: int) -> dict[str, int]:
    """vLLM's own copy of the weights beside the learner's, adapters merged, cut among the GPUs of an engine."""
    if config.engine.kind != "vllm" or config.engines_apart:
        return {}
    base = model.total.total - model.total.adapter
    return {"engine's weights": base * width // config.engine.tensor_parallel}


def _bounds(config: Config) -> Bounds:
    """Of the engine; what vLLM needs for a forward is reckoned as what the torch engine needs."""
    engine = config.engine
    read = engine.read_tokens if engine.kind == "torch" else _VLLM_READ_TOKENS
    return Bounds(max_rows=engine.max_rows, cache_bytes=engine.cache_bytes, read_tokens=read)


def _asked(config: Config, model: Architecture) -> dict[str, Asked]:
    """What the engine is asked for: first looks by groups, second looks that continue some of them, and evaluation."""
    group, prompt, first = config.sampler.group_size, config.prompt.max_tokens, config.sampler.first
    ask = partial(Asked, prompt_tokens=prompt, image_tokens=_image_tokens(config, model, prompt))
    asked = {
        "first looks": ask(
            prompts=config.sampler.queries, rows=group, response_tokens=first.max_tokens, score_tables=_tables(first)
        )
    }
    if config.rethink.kind == "forced":
        second = config.rethink.second_look
        asked["second looks"] = ask(
            prompts=config.sampler.queries,
            rows=group,
            prefix_tokens=max(1, _response_tokens(config) - second.max_tokens),
            response_tokens=second.max_tokens,
            score_tables=_tables(second),
        )
    evaluation = config.evaluation
    problems = min(CHUNK, max(evaluation.validation_problems, evaluation.test_problems))
    asked["evaluation"] = ask(prompts=problems, rows=1, response_tokens=evaluation.max_tokens, score_tables=GREEDY)
    return asked


def _tables(sampling: SamplingConfig) -> int:
    return FILTERED if sampling.top_p < 1 or sampling.top_k else SAMPLED


def _step(config: Config, model: Architecture) -> Step:
    """One update and its share of an episode, with prompts and responses half as long as they may be."""
    queries, group = config.sampler.queries / config.train.updates_per_episode, config.sampler.group_size
    prompt, response = config.prompt.max_tokens // 2, _response_tokens(config) // 2
    together = responses_together(
        prompt_tokens=prompt,
        response_tokens=response,
        group_size=group,
        shared=config.learner.share_prompts,
        budget=config.learner.micro_batch_tokens,
    )
    forced = config.rethink if config.rethink.kind == "forced" else None
    return Step(
        prompts=queries * group / together,
        prompt_tokens=prompt,
        image_tokens=_image_tokens(config, model, prompt),
        responses=queries * group,
        response_tokens=config.sampler.first.max_tokens // 2,
        looks=queries * group * forced.share if forced else 0.0,
        look_tokens=forced.second_look.max_tokens // 2 if forced else 0,
    )


def _remedy(files: Sequence[Path], overrides: Sequence[str], found: Plan, gigabytes: float) -> str:
    """The mildest overrides with which it fits; an adapter, or more GPUs, where those do not do."""

    def tried(gpus: int, model: Architecture, changes: dict[str, str]) -> tuple[Config, Plan]:
        config = load(files, [*overrides, *_spelt(changes)])
        return config, plan_of(config, model, gpus=gpus)

    def least(gpus: int, model: Architecture, changes: dict[str, str]) -> str | None:
        """Overrides that fit, from `changes` on, each time the one more that lessens the peak most."""
        config, now = tried(gpus, model, changes)
        while not now.fits(gigabytes):
            milder = [changes | change for change in _milder(config, now)]
            answers = [(*tried(gpus, model, each), each) for each in milder]
            config, then, changes = min(answers, key=lambda answer: answer[1].memory.peak, default=(config, now, {}))
            if then.memory.peak >= now.memory.peak:
                return None
            now = then
        return " ".join(_spelt(changes))

    if mild := least(found.gpus, found.model, {}):
        return mild
    adapter = {"model.adapter.kind": "lora", "model.dtype": "bfloat16"}
    answers = [least(found.gpus, shape(load(files, [*overrides, *_spelt(adapter)])), adapter)]
    more = (found.gpus * 2**power for power in range(1, 11))
    answers.append(
        next((f"{fits} --gpus {gpus}" for gpus in more if (fits := least(gpus, found.model, {})) is not None), None)
    )
    return "; or ".join(answer.strip() for answer in answers if answer) or "GPUs with more memory"


def _milder(config: Config, now: Plan) -> list[dict[str, str]]:
    """Single changes that may lessen what is largest."""
    if now.memory.largest != UPDATE:
        engine = config.engine
        bounds = {"max_rows": engine.max_rows, "cache_bytes": engine.cache_bytes}
        bounds |= {"read_tokens": engine.read_tokens} if engine.kind == "torch" else {}
        return [{f"engine.{name}": str(max(1, bound // 2))} for name, bound in bounds.items()]
    if not config.model.gradient_checkpointing:
        return [{"model.gradient_checkpointing": "true"}]
    least = config.prompt.max_tokens + _response_tokens(config)
    tokens = config.learner.micro_batch_tokens
    return [{"learner.micro_batch_tokens": str(max(least, tokens // 2))}] if tokens > least else []


def _spelt(changes: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in changes.items()]


def _show(console: Console, config: Config, found: Plan) -> None:
    """Parameters, memory, tokens and time."""
    parameters = Table("parameters", "total", "trained", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    total = found.model.total
    for part, count in {**found.model.parameters, "together": total}.items():
        parameters.add_row(part, f"{count.total / 1e6:,.1f} M", f"{count.trained / 1e6:,.1f} M")
    sizes = Table("GB per GPU", *found.memory.moments, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    held = [{**found.memory.stays, **parts} for parts in found.memory.moments.values()]
    for part in dict.fromkeys(part for parts in held for part in parts):
        sizes.add_row(part, *(f"{parts[part] / 1e9:,.2f}" if part in parts else "" for parts in held))
    sizes.add_row("together", *(f"{sum(parts.values()) / 1e9:,.2f}" for parts in held))
    for table in (parameters, sizes):
        for column in table.columns[1:]:
            column.justify = "right"
        console.print()
        console.print(table)
    rows = ", ".join(f"{count:,} of {name}" for name, count in found.rows.items())
    _say(console, f"\nrows that decode together: {rows}")
    step = found.step
    _say(
        console,
        f"a step at half of the longest prompts and responses: {step.learned_tokens:,.0f} tokens learned, "
        f"{step.sampled_tokens:,.0f} sampled",
    )
    if found.gpus > 1:
        _say(console, f"over {found.gpus} GPUs: weights, masters, optimiser and gradients cut into equal parts")
    else:
        _say(console, _time(config, found.estimate))


def _time(config: Config, time: Estimate) -> str:
    return (
        f"about {time.seconds:,.0f} s: learning {time.learning:,.0f} s, generating {time.generating:,.0f} s, at "
        f"{LEARNER_MFU:.0%} and {GENERATION_MFU:.0%} of {PEAK[config.model.dtype] / 1e12:,.0f} TFLOPS "
        f"({config.model.dtype} on an H100)"
    )


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
