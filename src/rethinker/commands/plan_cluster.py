"""What `rethinker plan --gpus N` says of a step on many GPUs: its phases at N, and how it scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.console import Console
from rich.table import Table

from rethinker.config import Config
from rethinker.data_config import FileDataConfig
from rethinker.planning.cluster import Cluster, layout
from rethinker.planning.compute import Step
from rethinker.planning.gpus import gpu_kind
from rethinker.planning.memory import Memory
from rethinker.planning.phases import USABLE
from rethinker.planning.scaling_out import WORTH, EpisodeTime, episode_time, has_room, held_back_by, stops, sweep
from rethinker.planning.shapes import Architecture, responses_together
from rethinker.planning.work import Lengths, Work

BYTES = {"float32": 4, "bfloat16": 2}

LEAST_SHOWN = 0.005
"""Seconds of a step that are worth a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """GPUs to plan for, as the command line names them.

    Attributes:
        gigabytes: Of one GPU; None is what the kind has.
        tensor_parallel: GPUs of an engine; 0 chooses.
        engine_gpus: GPUs that only generate; 0 shares all.
    """

    kind: str
    gpus: int
    gigabytes: float | None
    tensor_parallel: int
    engine_gpus: int
    staleness: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What was asked for.

    Attributes:
        kind: Name of the GPUs.
        learner: The learner's memory on so many ranks, and the moment of an update in it.
    """

    kind: str
    model: Architecture
    work: Work
    cluster: Cluster
    learner: Callable[[int], Memory]

    def at(self, gpus: int) -> EpisodeTime | None:
        """The episode on so many GPUs; None where the model or the layout does not fit on them."""
        cluster = self.cluster.grown(gpus)
        if cluster.replicas * cluster.tensor_parallel != (cluster.engine_gpus or gpus):
            return None
        memory = self.learner(cluster.ranks)
        held = sum(memory.stays.values())
        updating = held + sum(memory.moments["update"].values())
        if updating > USABLE * cluster.gpu.memory or not has_room(self.model, self.work, cluster, held=held):
            return None
        return episode_time(self.model, self.work, cluster, held=held)


def cluster_of(config: Config, model: Architecture, asked: Hardware) -> Cluster:
    """The layout that was asked for; what was left open is as the recipe has it, if it is for as many GPUs.

    Raises:
        ConfigError: the kind is not known, or sizes do not divide.
    """
    gpu, engine = gpu_kind(asked.kind), config.engine
    shared = engine.tensor_parallel if engine.kind == "vllm" and engine.tensor_parallel > 1 else 0
    apart = engine.replicas * max(1, shared) if config.engines_apart else 0
    fits = apart < asked.gpus == apart + (config.cluster.ranks if config.cluster.kind == "ray" else 0)
    return layout(
        replace(gpu, memory=asked.gigabytes * 1e9) if asked.gigabytes else gpu,
        asked.gpus,
        model,
        width=BYTES[config.model.dtype],
        tensor_parallel=asked.tensor_parallel or shared,
        engine_gpus=asked.engine_gpus or (apart if fits else 0),
        staleness=asked.staleness or (config.pipeline.staleness if fits else 0),
    )


def work_of(config: Config, update: Step) -> Work:
    """The episode that a recipe asks for, with engines whose log-probs the learner asks again.

    Args:
        update: One update of it (`commands.plan`).
    """
    first, updates = config.sampler.first, config.train.updates_per_episode
    forced = config.rethink if config.rethink.kind == "forced" else None
    look = forced.second_look.max_tokens if forced else 0
    return Work(
        queries=config.sampler.queries,
        group_size=config.sampler.group_size,
        updates=updates,
        first=Lengths(mean=first.max_tokens / 2, longest=first.max_tokens),
        looks=update.looks * updates,
        look=Lengths(mean=look / 2, longest=look) if look else None,
        update=update,
        together=responses_together(
            prompt_tokens=update.prompt_tokens,
            response_tokens=update.response_tokens,
            group_size=config.sampler.group_size,
            shared=config.learner.share_prompts,
            budget=config.learner.micro_batch_tokens,
        ),
        micro_batch_tokens=config.learner.micro_batch_tokens,
        checkpointed=config.model.gradient_checkpointing,
        scorings=1 + bool(config.objective.kl_coefficient),
        width=BYTES[config.model.dtype],
        gradient_width=BYTES["float32"] if config.learner.master_weights else BYTES[config.model.dtype],
        verify_workers=config.verifier.workers,
        images=config.sampler.queries if update.image_tokens else 0,
        readers=max(1, config.data.threads) if isinstance(config.data, FileDataConfig) else 1,
    )


def show(console: Console, asked: Layout) -> None:
    """The phases at the size asked for, the table of sizes, and where it stops."""
    cluster, found = asked.cluster, asked.at(asked.cluster.gpus)
    nodes = -(-cluster.gpus // cluster.gpu.node)
    engines = f"{cluster.replicas} engines of {cluster.tensor_parallel}"
    placed = f"{engines} on {cluster.engine_gpus} of their own" if cluster.engine_gpus else f"{engines} on the same"
    _say(
        console,
        f"\na step on {cluster.gpus:,} {asked.kind} in {nodes} {'nodes' if nodes > 1 else 'node'}: {cluster.ranks} "
        f"learner ranks, {placed}; staleness {cluster.staleness}\n",
    )
    if found is None:
        _say(console, "there is no room for the learner's shards, or beside them for an engine and one long response")
    else:
        console.print(_phases(found))
    times = sweep(asked.at)
    if times:
        console.print()
        console.print(_sizes(times))
        _say(console, f"\n{verdict(times)}")


def _phases(found: EpisodeTime) -> Table:
    table = Table("phase", "what takes it", "seconds", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name, phase in found.phases.items():
        shown = {part: spent for part, spent in phase.parts.items() if spent / found.updates >= LEAST_SHOWN}
        for part, spent in shown.items():
            table.add_row(name if part == next(iter(shown)) else "", part, f"{spent / found.updates:,.2f}")
    if found.hidden:
        table.add_row("meanwhile", " and ".join(found.hidden), "")
    table.add_row("together", f"most is {found.bound}", f"{found.step_seconds:,.2f}")
    table.columns[2].justify = "right"
    return table


def _sizes(times: Sequence[EpisodeTime]) -> Table:
    least = times[0]
    against = f"against {least.cluster.gpus}"
    table = Table(
        "GPUs", "seconds", "tokens/s/GPU", against, "most is", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    for each in times:
        share = each.throughput / least.throughput
        table.add_row(
            f"{each.cluster.gpus:,}", f"{each.step_seconds:,.2f}", f"{each.throughput:,.0f}", f"{share:.0%}", each.bound
        )
    for column in table.columns[:4]:
        column.justify = "right"
    return table


def verdict(times: Sequence[EpisodeTime]) -> str:
    """Where it stops scaling and why, as one sentence."""
    found = stops(times)
    if found is None:
        return f"scales up to {times[-1].cluster.gpus:,} GPUs: twice as many are always {WORTH} times as fast or more"
    one, two = found
    return (
        f"stops scaling at {one.cluster.gpus:,} GPUs: {two.cluster.gpus:,} are {one.seconds / two.seconds:.2f} times "
        f"as fast; what holds back is {held_back_by(one, two)}"
    )


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
