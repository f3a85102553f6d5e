"""The algorithm's sections: advantages, what cut responses count, replay, and the loss. Part of `config.py`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rethinker.config_section import Count, Natural, Positive, Section


class AdvantageConfig(Section):
    """From a group's rewards to its advantages."""

    kind: Literal["grpo", "grpo_std", "rloo"] = "grpo"
    """`grpo` r − mean (paper's recipe), `grpo_std` divided by the population std, `rloo` r − mean of the others."""


class NoReplayConfig(Section):
    """Train on the batch as it is (GRPO)."""

    kind: Literal["none"] = "none"


class FilterReplayConfig(Section):
    """Train on what has an advantage (the paper's GRPO-Filter)."""

    kind: Literal["filter"] = "filter"


class SsrReplayConfig(Section):
    """Selective Sample Replay: refill the batch from the buffer (paper)."""

    kind: Literal["ssr"] = "ssr"
    alpha: Annotated[float, Field(ge=0.0)] = 1.0
    """P(j) ∝ |Â_j|^alpha (paper: 1)."""
    lifetime: Count = 1
    """Episodes a sample stays in the buffer (paper: 1, cleared at every policy sync)."""
    capacity: Count = 100_000
    """Most samples in the buffer; the oldest go first. Bounds a long lifetime (ours)."""


ReplayConfig = Annotated[NoReplayConfig | FilterReplayConfig | SsrReplayConfig, Field(discriminator="kind")]


class ScoreTruncationConfig(Section):
    """A response cut at its limit is scored as it is: wrong, unless it answered in time."""

    kind: Literal["score"] = "score"


class MaskTruncationConfig(Section):
    """A response cut at its limit is out of the loss; its reward still counts in its group's mean (DAPO)."""

    kind: Literal["mask"] = "mask"


class SoftPenaltyTruncationConfig(Section):
    """A long response loses reward before it is cut: DAPO's soft overlong punishment, 0 down to −1 at the limit."""

    kind: Literal["soft_penalty"] = "soft_penalty"
    buffer: Count = 512
    """Last tokens before `sampler.first.max_tokens` over which the penalty grows (ours: a quarter; DAPO: a fifth)."""


TruncationConfig = Annotated[
    ScoreTruncationConfig | MaskTruncationConfig | SoftPenaltyTruncationConfig, Field(discriminator="kind")
]


class LossSection(Section):
    """What every objective has."""

    normalisation: Literal["sequence_mean", "token_mean", "constant"] = "sequence_mean"
    """Token weights: 1 / response length (paper), 1, or 1 / a constant (Dr.GRPO, with advantage.kind=grpo)."""
    divisor: Natural = 0
    """Under `constant`, tokens each response is divided by; 0 takes `sampler.first.max_tokens` (Dr.GRPO's)."""
    ratio_cap: Annotated[float, Field(ge=1.0)] = 2.0
    """C: bound of truncated importance ratios of stale and foreign samples."""
    correction: Literal["token", "sequence", "none"] = "token"
    """Where old log-probs are the learner's and samples an engine's, the loss is multiplied by min(old / behaviour, C):
    each token's own, its response's, or not at all. The torch engine's samples need none."""
    kl_coefficient: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of the k3 KL to the starting weights (paper: none)."""
    entropy_coefficient: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of the entropy bonus (paper: none)."""

    @model_validator(mode="after")
    def _divisor_is_used(self) -> Self:
        if self.divisor and self.normalisation != "constant":
            raise ValueError(
                f"objective.divisor={self.divisor} has no effect with objective.normalisation={self.normalisation}; "
                "set objective.normalisation=constant, or leave the divisor out"
            )
        return self


class ClipConfig(LossSection):
    """The clipped surrogate, each token with a ratio of its own (GRPO, as PPO)."""

    kind: Literal["clip"] = "clip"
    clip_low: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    """ε_low (code: 0.2)."""
    clip_high: Positive = 0.35
    """ε_high (code: 0.35)."""


class DualClipConfig(LossSection):
    """`clip`, and where Â < 0 the surrogate is at least c·Â: one bad token cannot dominate the update."""

    kind: Literal["dual_clip"] = "dual_clip"
    clip_low: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    """ε_low (code: 0.2)."""
    clip_high: Positive = 0.35
    """ε_high (code: 0.35)."""
    dual_clip: Annotated[float, Field(gt=1.0)] = 3.0
    """c (its paper: 3)."""


class GspoConfig(LossSection):
    """The clipped surrogate, each response with one ratio: the geometric mean of its tokens' (GSPO)."""

    kind: Literal["gspo"] = "gspo"
    clip_low: Annotated[float, Field(gt=0.0, lt=1.0)] = 3e-4
    """ε_low (its paper: 3e-4; a mean over tokens moves far less than a token)."""
    clip_high: Positive = 4e-4
    """ε_high (its paper: 4e-4)."""


ObjectiveConfig = Annotated[ClipConfig | DualClipConfig | GspoConfig, Field(discriminator="kind")]
