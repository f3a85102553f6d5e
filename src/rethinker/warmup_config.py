"""The configuration of `rethinker warmup`, which makes the tiny VLM's weights: a tree of its own beside a run's."""

from __future__ import annotations

from typing import Literal

from rethinker.config_section import Count, Natural, Positive, Section, Share
from rethinker.data_config import GymDataConfig, GymLevel


class WarmupConfig(Section):
    """The warm start of the tiny VLM (`rethinker warmup`); every value is ours."""

    seed: Natural = 0
    """Keys the initial weights, the examples and their styles."""
    threads: Natural = 0
    """CPU threads of torch; 0 takes every core this process may use."""
    mixture: tuple[GymLevel, ...] = GymDataConfig().mixture
    """Families and levels, drawn uniformly; weights are not used."""
    prompt: Literal["plain", "rethinking"] = "plain"
    """The prompt of the examples."""
    examples: Count = 64
    """Examples per update."""
    perception_steps: Natural = 1200
    """Updates on worked answers alone: perception is the slow part."""
    perception_lr: Positive = 3e-3
    """Peak rate of Muon in the first phase."""
    habit_steps: Natural = 400
    """Updates on the mixture of styles: the habits of a base that thinks fast."""
    habit_lr: Positive = 2e-3
    """Peak rate of Muon in the second phase."""
    direct_share: Share = 0.55
    """Direct answers among the habit examples."""
    direct_skill_share: Share = 0.15
    """Of the direct answers, those whose answer is learned, not their beginning alone: fast, and not good at it."""
    second_look_share: Share = 0.38
    """Second looks among them; the rest are worked answers."""
    trigger_share: Share = 0.07
    """Of the second looks, those whose trigger is learned too: what makes the base look twice by itself, rarely."""
