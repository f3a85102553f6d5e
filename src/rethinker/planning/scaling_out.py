"""A step on 8 to 4,096 GPUs: its phases put together, and where more GPUs stop paying."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rethinker.planning.cluster import MOST_GPUS, Cluster
from rethinker.planning.phases import Phase, generate, learn, room, sync, verify
from rethinker.planning.shapes import Architecture
from rethinker.planning.work import Work

WORTH = 1.3
"""Times faster that twice the GPUs must be at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeTime:
    """An episode on a cluster.

    Attributes:
        phases: By name.
        overlapped: Whether generation of the next episode goes on during the updates of this one.
        updates: Optimiser steps of the episode.
        tokens: Of all responses with their prompts.
    """

    cluster: Cluster
    phases: Mapping[str, Phase]
    overlapped: bool
    updates: int
    tokens: float

    @property
    def seconds(self) -> float:
        """Of the episode."""
        sampled = self.phases["generate"].seconds + self.phases["verify"].seconds
        learned = self.phases["learn"].seconds
        both = max(sampled, learned) if self.overlapped else sampled + learned
        return both + self.phases["sync"].seconds

    @property
    def step_seconds(self) -> float:
        """Of one update with its share of the rest."""
        return self.seconds / self.updates

    @property
    def throughput(self) -> float:
        """Tokens a second and GPU, prompts counted with every response."""
        return self.tokens / self.seconds / self.cluster.gpus

    @property
    def bound(self) -> str:
        """What takes most of the time that is not hidden behind other work."""
        counted = dict(self.phases)
        if self.overlapped:
            sampled = self.phases["generate"].seconds + self.phases["verify"].seconds
            hidden = {"learn"} if sampled > self.phases["learn"].seconds else {"generate", "verify"}
            counted = {name: phase for name, phase in counted.items() if name not in hidden}
        seconds = {(name, part): spent for name, phase in counted.items() for part, spent in phase.parts.items()}
        name, part = max(seconds, key=lambda key: seconds[key])
        return f"{name}: {part}"


def episode_time(model: Architecture, work: Work, cluster: Cluster, *, held: float) -> EpisodeTime:
    """The model of a whole episode.

    Args:
        held: Bytes of each GPU that the learner keeps while engines generate beside it.
    """
    kept = 0.0 if cluster.engine_gpus else held
    generating = generate(model, work, cluster, held=kept)
    return EpisodeTime(
        cluster=cluster,
        phases={
            "generate": generating,
            "verify": verify(work, generating.seconds),
            "learn": learn(model, work, cluster),
            "sync": sync(model, work, cluster),
        },
        overlapped=cluster.staleness > 0,
        updates=work.updates,
        tokens=work.tokens,
    )


def fits(model: Architecture, work: Work, cluster: Cluster, *, held: float) -> bool:
    """Whether a replica has room for the keys of one response at its longest, beside its weights and what is held."""
    kept = 0.0 if cluster.engine_gpus else held
    longest = work.first.longest + (work.look.longest if work.look else 0)
    return room(model, work, cluster, held=kept) >= work.update.prompt_tokens + longest


def sweep(at: Callable[[int], EpisodeTime | None], node: int) -> list[EpisodeTime]:
    """The episode on 8, 16, … GPUs; sizes that it does not fit on are left out."""
    sizes = []
    gpus = node
    while gpus <= MOST_GPUS:
        sizes.append(gpus)
        gpus *= 2
    return [found for size in sizes if (found := at(size))]


def stops(times: Sequence[EpisodeTime]) -> tuple[EpisodeTime, EpisodeTime] | None:
    """The first size whose double is less than `WORTH` times as fast, and that double; None where all are."""
    pairs = zip(times, times[1:], strict=False)
    return next(((one, two) for one, two in pairs if one.seconds < WORTH * two.seconds), None)
