"""What an update trains on: the raw batch, its effective part, or that part refilled from a buffer (SSR).

Effective means |Â| > 0. Choosing which problems to sample until enough groups are effective is the sampler's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np

from rethinker.interfaces import Replay
from rethinker.seeding import Purpose, generator
from rethinker.types import Experience, Mean, Metrics, Rethought, State


@final
class NoReplay(Replay):
    """Trains on the raw batch: plain GRPO. Zero-advantage responses keep their weight in the normaliser."""

    def __init__(self) -> None:
        self._metrics: Metrics = {}

    def select(self, batch: Sequence[Experience], *, step: int) -> list[Experience]:  # noqa: ARG002 (nothing is drawn)
        """Return the batch as it is."""
        chosen = list(batch)
        self._metrics = _describe(batch, chosen)
        return chosen

    def policy_synced(self) -> None:
        """Nothing is kept."""

    def metrics(self) -> Metrics:
        """What the last `select` did (see `_describe`)."""
        return self._metrics

    def state_dict(self) -> State:
        """Empty: nothing is kept."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing to restore."""


@final
class Filter(Replay):
    """Trains on the effective samples only: the paper's GRPO-Filter."""

    def __init__(self) -> None:
        self._metrics: Metrics = {}

    def select(self, batch: Sequence[Experience], *, step: int) -> list[Experience]:  # noqa: ARG002 (nothing is drawn)
        """Return the samples with non-zero advantage, in order."""
        chosen = _effective(batch)
        self._metrics = _describe(batch, chosen)
        return chosen

    def policy_synced(self) -> None:
        """Nothing is kept."""

    def metrics(self) -> Metrics:
        """What the last `select` did (see `_describe`)."""
        return self._metrics

    def state_dict(self) -> State:
        """Empty: nothing is kept."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing to restore."""


class _Stored(NamedTuple):
    experience: Experience
    episode: int


@final
class SelectiveSampleReplay(Replay):
    """Refills the batch with draws from a buffer of effective samples, P(j) ∝ |Â_j|^alpha (ALGORITHM: SSR).

    The buffer takes the batch's effective samples before the draw, so a current sample may be drawn again, and with one
    update per episode there is nothing else to draw. Nothing loops and nothing is made up: when the buffer is empty,
    the update trains on what there is, which may be nothing.

    Args:
        seed: The run's seed; draws are keyed by it and the step alone, so every world size draws the same.
        alpha: Sharpness of the preference for large |Â|; 0 is uniform.
        lifetime: Episodes a sample stays; 1 clears the buffer at every policy sync (paper).
        capacity: Most samples stored; the oldest go first.
    """

    def __init__(self, *, seed: int, alpha: float, lifetime: int, capacity: int) -> None:
        self._seed = seed
        self._alpha = alpha
        self._lifetime = lifetime
        self._episode = 0
        self._buffer: deque[_Stored] = deque(maxlen=capacity)
        self._metrics: Metrics = {}

    def select(self, batch: Sequence[Experience], *, step: int) -> list[Experience]:
        """Return the effective samples, then as many draws with replacement as the batch is short of."""
        effective = _effective(batch)
        self._buffer.extend(_Stored(experience, self._episode) for experience in effective)
        drawn = self._draw(len(batch) - len(effective), step=step)
        chosen = effective + [stored.experience for stored in drawn]
        ages = [self._episode - stored.episode for stored in drawn]
        self._metrics = _describe(batch, chosen, ages=ages, size=len(self._buffer))
        return chosen

    def policy_synced(self) -> None:
        """Begin a new episode and drop what has lived its lifetime."""
        self._episode += 1
        while self._buffer and self._episode - self._buffer[0].episode >= self._lifetime:
            self._buffer.popleft()

    def metrics(self) -> Metrics:
        """What the last `select` did (see `_describe`)."""
        return self._metrics

    def state_dict(self) -> State:
        """The buffer, oldest first, each sample with the episode it was stored in, and the current episode."""
        return {
            "episode": self._episode,
            "experiences": [[stored.experience, stored.episode] for stored in self._buffer],
        }

    def load_state_dict(self, state: State) -> None:
        """Restore `state_dict`."""
        self._episode = state["episode"]
        self._buffer.clear()
        self._buffer.extend(_Stored(experience, episode) for experience, episode in state["experiences"])

    def _draw(self, count: int, *, step: int) -> list[_Stored]:
        if count <= 0 or not self._buffer:
            return []
        stored = list(self._buffer)
        magnitudes = np.abs(np.array([entry.experience.advantage for entry in stored], dtype=np.float64))
        # Relative to the largest, so that a sharp alpha cannot underflow every weight to 0.
        bounds = np.cumsum((magnitudes / magnitudes.max()) ** self._alpha)
        uniforms = generator(self._seed, Purpose.REPLAY, step=step).random(count)
        return [stored[index] for index in np.searchsorted(bounds, uniforms * bounds[-1], side="right")]


HISTOGRAM_EDGES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Upper edges of the bins of |Â|; the first holds exact zeros, and a last bin what is above 1."""


def _effective(batch: Sequence[Experience]) -> list[Experience]:
    return [experience for experience in batch if experience.advantage != 0]


def _describe(
    batch: Sequence[Experience], chosen: Sequence[Experience], *, ages: Sequence[int] = (), size: int = 0
) -> Metrics:
    """Measure one selection.

    `replay/effective` is the share of the raw batch with |Â| > 0; `drawn`, `size` and `batch` count the draws, the
    stored and the chosen samples; `age_mean` is the mean number of policy syncs since a drawn sample was stored;
    `rethought_dropped` counts kept second looks left out because their |Â| is 0. `replay/magnitude_raw/…` and
    `replay/magnitude_chosen/…` are histograms of |Â| before and after, as shares, named by the bin's upper edge.
    """
    return {
        "replay/effective": Mean(sum=len(_effective(batch)), count=len(batch)),
        "replay/drawn": Mean(sum=len(ages)),
        "replay/size": Mean(sum=size),
        "replay/age_mean": Mean(sum=sum(ages), count=len(ages)),
        "replay/batch": Mean(sum=len(chosen)),
        "replay/rethought_dropped": Mean(sum=_idle_second_looks(batch) - _idle_second_looks(chosen)),
        **_histogram("replay/magnitude_raw", batch),
        **_histogram("replay/magnitude_chosen", chosen),
    }


def _idle_second_looks(experiences: Sequence[Experience]) -> int:
    return sum(isinstance(each.rollout, Rethought) and each.advantage == 0 for each in experiences)


def _histogram(name: str, experiences: Sequence[Experience]) -> Metrics:
    magnitudes = np.abs(np.array([each.advantage for each in experiences], dtype=np.float64))
    counts = np.bincount(np.searchsorted(HISTOGRAM_EDGES, magnitudes), minlength=len(HISTOGRAM_EDGES) + 1)
    labels = [*(f"{edge:g}" for edge in HISTOGRAM_EDGES), "above"]
    return {
        f"{name}/{label}": Mean(sum=int(count), count=len(experiences))
        for label, count in zip(labels, counts, strict=True)
    }
