"""Randomness without streams: every draw is keyed by (seed, purpose, step, problem id, sample).

There is no state to save or to advance: a resumed run, another batch order or another world size draws the same.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

import numpy as np


class Purpose(StrEnum):
    """What a draw is for, and after the semicolon what `step` counts there; 0 where nothing is said.

    Closed on purpose: two uses never share a key by accident.
    """

    SCENE = "scene"  # what a gym problem shows
    STREAM = "stream"  # the order of training problems; the gym's position in the stream, a data set's epoch
    MIXTURE = "mixture"  # from which part of a mixture a problem comes; the position in the stream
    SHUFFLE = "shuffle"  # the order of an episode's groups; the episode
    FIRST = "first"  # sampling first responses; the sampler's round (without dynamic sampling, the episode)
    FORCE = "force"  # which responses are forced to look twice; the round of their group
    TRIGGER = "trigger"  # with which text; the same
    SECOND = "second"  # sampling second looks; the same
    REPLAY = "replay"  # draws from the replay buffer; the optimiser step
    EVALUATION = "evaluation"  # held-out responses; 0 for the measurements of a run, 1 for those of a base policy
    BENCHMARK = "benchmark"  # responses to a benchmark's questions; 0 for first ones, 1 for forced second looks
    ADAPTER = "adapter"  # the initial weights of a low-rank adapter
    WARMUP = "warmup"  # the warm start: initial weights, examples, styles; the example
    BOOTSTRAP = "bootstrap"  # resampling questions; what the interval is of stands in the place of the problem id
    INFERENCE = "inference"  # answers to whoever asks; the look, 0 for first ones
    SELECTION = "selection"  # which rows of a data set are kept


def key(seed: int, purpose: Purpose, *, step: int = 0, problem_id: str = "", sample: int = 0) -> int:
    """Hash the five parts of a draw's identity to one 128-bit integer.

    Args:
        seed: The run's seed.
        purpose: What the draw is for.
        step: What the purpose counts (see `Purpose`).
        problem_id: The problem's id, empty for draws that belong to no problem.
        sample: Index of the response within its group.
    """
    text = f"{seed}|{purpose.value}|{step}|{sample}|{problem_id}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def generator(
    seed: int, purpose: Purpose, *, step: int = 0, problem_id: str = "", sample: int = 0
) -> np.random.Generator:
    """A fresh numpy generator for one keyed draw (see `key`)."""
    return np.random.default_rng(key(seed, purpose, step=step, problem_id=problem_id, sample=sample))
