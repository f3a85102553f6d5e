"""Which curves a report shows, and what to read in each: data, no drawing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Scale(Enum):
    """How a vertical axis is scaled and labelled."""

    SHARE = "share"  # 0 to 100 %, always the whole of it
    SMALL_SHARE = "small share"  # percent from 0 to what there is
    FROM_ZERO = "from zero"
    FREE = "free"  # for what has no natural zero in sight
    LOG = "log"
    GIGABYTES = "gigabytes"  # bytes shown as GB, from zero


@dataclass(frozen=True, slots=True)
class Series:
    """One metric in a chart.

    Attributes:
        colour: Index into the report's palette.
        sparse: Measured now and then: its points are drawn.
        smooth: Noisy: a long series is drawn with its running mean.
    """

    metric: str
    label: str
    colour: int
    sparse: bool = False
    smooth: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """One vertical axis and what is drawn on it: lines, or bars stacked in this order from below."""

    series: tuple[Series, ...]
    scale: Scale
    unit: str = ""
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: axes one below the other over the same steps, never two scales on one axis."""

    title: str
    note: str
    axes: tuple[Axis, ...]


PANELS = (
    Panel(
        "Reward and accuracy",
        "Reward is the share of sampled responses that verified as right; accuracy is greedy, on held-out problems.",
        (
            Axis(
                (
                    Series("reward/mean", "reward, sampled", 0),
                    Series("eval/accuracy", "accuracy, held out", 1, sparse=True),
                ),
                Scale.SHARE,
            ),
        ),
    ),
    Panel(
        "Groups",
        "Only mixed groups carry an advantage. When they vanish, the batch teaches nothing unless it is refilled.",
        (
            Axis(
                (
                    Series("groups/all_wrong", "all wrong", 5),
                    Series("groups/mixed", "mixed", 0),
                    Series("groups/all_correct", "all correct", 2),
                ),
                Scale.SHARE,
                stacked=True,
            ),
        ),
    ),
    Panel(
        "Second looks",
        "Forced ones are triggered by us and kept only when they end right; spontaneous ones are the model's own.",
        (
            Axis(
                (
                    Series("rethink/forced", "forced", 5),
                    Series("rethink/kept", "kept", 2),
                    Series("rethink/spontaneous", "spontaneous, sampled", 0),
                    Series("eval/rethinking", "spontaneous, held out", 1, sparse=True),
                ),
                Scale.SMALL_SHARE,
            ),
        ),
    ),
    Panel(
        "What second looks change",
        "Answers before and after a spontaneous second look in training: it pays when the upper curve is the first.",
        (
            Axis(
                (
                    Series("rethink/wrong_to_right", "wrong → right", 2),
                    Series("rethink/right_to_wrong", "right → wrong", 1),
                ),
                Scale.SMALL_SHARE,
            ),
        ),
    ),
    Panel(
        "Replay",
        "The share of the batch that has an advantage, and the responses drawn from the buffer to fill it up again.",
        (
            Axis((Series("replay/effective", "effective share", 0),), Scale.SHARE),
            Axis(
                (
                    Series("replay/drawn", "drawn from the buffer", 1),
                    Series("replay/size", "in the buffer", 5, smooth=False),
                ),
                Scale.FROM_ZERO,
                "responses",
            ),
        ),
    ),
    Panel(
        "Importance ratio",
        "Current over old probability of the sampled tokens, and the share of them that the clip holds back.",
        (
            Axis((Series("policy/ratio_mean", "mean ratio", 0),), Scale.FREE, "ratio"),
            Axis(
                (
                    Series("policy/clip_fraction", "clipped", 1),
                    Series("policy/dual_clip_fraction", "by the dual clip", 3),
                ),
                Scale.SMALL_SHARE,
                "clipped",
            ),
        ),
    ),
    Panel(
        "Loss",
        "The policy term has no level to reach; imitation is the negative log-likelihood of kept second looks.",
        (
            Axis((Series("policy/loss", "policy", 0),), Scale.FREE, "policy"),
            Axis((Series("policy/imitation_loss", "imitation", 2),), Scale.FROM_ZERO, "imitation"),
        ),
    ),
    Panel(
        "Gradient and learning rate",
        "The norm is taken before clipping.",
        (
            Axis((Series("policy/grad_norm", "gradient norm", 0),), Scale.FROM_ZERO, "norm"),
            Axis((Series("policy/lr", "learning rate", 4, smooth=False),), Scale.FROM_ZERO, "rate"),
        ),
    ),
    Panel(
        "Entropy",
        "Of the policy at the sampled tokens. A fall to zero is the end of exploring.",
        (Axis((Series("policy/entropy", "entropy", 3),), Scale.FROM_ZERO, "nats"),),
    ),
    Panel(
        "Engine against learner",
        "Difference between the log-probabilities of the sampling engine and of the learner for the same tokens.",
        (
            Axis(
                (
                    Series("policy/engine_gap_mean", "mean", 0),
                    Series("policy/engine_gap_max", "largest", 1),
                ),
                Scale.LOG,
                "nats",
            ),
        ),
    ),
    Panel(
        "Time",
        "Seconds per step, by part.",
        (
            Axis(
                (
                    Series("time/generate", "generate", 0),
                    Series("time/verify", "verify", 1),
                    Series("time/rethink", "rethink", 2),
                    Series("time/update", "update", 3),
                    Series("time/sync", "sync", 4),
                    Series("time/save", "save", 5),
                ),
                Scale.FROM_ZERO,
                "seconds",
                stacked=True,
            ),
        ),
    ),
    Panel(
        "Memory",
        "Of the process and all it started.",
        (Axis((Series("system/memory_bytes", "process tree", 5, smooth=False),), Scale.GIGABYTES, "GB"),),
    ),
    Panel(
        "Lengths",
        "Tokens per sequence; responses cut at the limit, those of them out of the loss, and padding in the learner's "
        "batches; what length takes from the reward.",
        (
            Axis(
                (Series("tokens/response", "response", 0), Series("tokens/prompt", "prompt", 5)),
                Scale.FROM_ZERO,
                "tokens",
            ),
            Axis(
                (
                    Series("tokens/truncated", "truncated", 1),
                    Series("tokens/masked", "masked", 3),
                    Series("tokens/padding", "padding", 4),
                ),
                Scale.SMALL_SHARE,
            ),
            Axis((Series("reward/length_penalty", "penalty", 2),), Scale.FREE, "reward"),
        ),
    ),
    Panel(
        "Scoring",
        "Responses that could not be scored as right or wrong, as shares of all.",
        (
            Axis(
                (
                    Series("reward/unparsed", "no answer found", 0),
                    Series("reward/timeout", "timeout", 1),
                    Series("reward/error", "error", 3),
                ),
                Scale.SMALL_SHARE,
            ),
        ),
    ),
)
