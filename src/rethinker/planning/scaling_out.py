"""A step on 8 to 4,096 GPUs: its phases put together, and where more GPUs stop paying."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rethinker.planning.cluster import MOST_GPUS, Cluster
from rethinker.planning.phases import Phase, generate, learn, prepare, room, sync, verify
from rethinker.planning.shapes import Architecture
from rethinker.planning.work import Work

LEAST_GPUS = 8

WORTH = 1.3
"""Times faster that twice the GPUs must be at least."""

SAMPLING = ("prepare", "generate", "verify")
"""Phases of the engines' side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeTime:
    """An episode on a cluster.

    Attributes:
        phases: By name.
        overlapped: Whether generation of the next episode goes on during the updates of this one.
        reading: Seconds in which the images of the next episode are prepared, ahead; none can be shorter.
        updates: Optimiser steps of the episode.
        tokens: Of all responses with their prompts.
    """

    cluster: Cluster
    phases: Mapping[str, Phase]
    overlapped: bool
    reading: float
    updates: int
    tokens: float

    @property
    def hidden(self) -> tuple[str, ...]:
        """Phases that go on behind others."""
        if not self.overlapped:
            return ()
        sampled = sum(self.phases[name].seconds for name in SAMPLING)
        return ("learn",) if sampled > self.phases["learn"].seconds else SAMPLING

    @property
    def parts(self) -> dict[str, float]:
        """Seconds that are waited for, by phase and what takes them."""
        waited = {
            f"{name}: {part}": seconds
            for name, phase in self.phases.items()
            if name not in self.hidden
            for part, seconds in phase.parts.items()
        }
        return waited | {"reading ahead: images": max(0.0, self.reading - sum(waited.values()))}

    @property
    def seconds(self) -> float:
        """Of the episode."""
        return sum(self.parts.values())

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
        return max(self.parts, key=lambda part: self.parts[part])


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
            "prepare": prepare(work, cluster),
            "generate": generating,
            "verify": verify(work, cluster, generating.seconds),
            "learn": learn(model, work, cluster),
            "sync": sync(model, work, cluster),
        },
        overlapped=cluster.staleness > 0,
        reading=work.images * cluster.efficiency.image / work.readers,
        updates=work.updates,
        tokens=work.tokens,
    )


def has_room(model: Architecture, work: Work, cluster: Cluster, *, held: float) -> bool:
    """Whether a replica has room for the keys of one response at its longest, beside its weights and what is held."""
    kept = 0.0 if cluster.engine_gpus else held
    longest = work.first.longest + (work.look.longest if work.look else 0)
    return room(model, work, cluster, held=kept) >= work.update.prompt_tokens + longest


def sweep(at: Callable[[int], EpisodeTime | None]) -> list[EpisodeTime]:
    """The episode on 8, 16, … 4,096 GPUs; sizes that it does not fit on are left out."""
    sizes = [LEAST_GPUS * 2**power for power in range((MOST_GPUS // LEAST_GPUS).bit_length())]
    return [found for size in sizes if (found := at(size))]


def stops(times: Sequence[EpisodeTime]) -> tuple[EpisodeTime, EpisodeTime] | None:
    """The first size whose double is less than `WORTH` times as fast, and that double; None where all are."""
    return next(((one, two) for one, two in pairwise(times) if one.seconds < WORTH * two.seconds), None)


def held_back_by(one: EpisodeTime, two: EpisodeTime) -> str:
    """What exceeds half of its former time most on twice the GPUs."""
    return max(two.parts, key=lambda part: two.parts[part] - one.parts.get(part, 0.0) / 2)
