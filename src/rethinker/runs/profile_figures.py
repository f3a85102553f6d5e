"""A profile's figures, from what the recorder saw.

The seconds are the main thread's and exclusive of each other, so a step's shares add up to 1. What other threads did
meanwhile stands apart: it took no time unless somebody waited for it, and then the waiting is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from rethinker.chips import chip_rate
from rethinker.runs.stretches import PASSES, SELDOM, STRETCHES, stretch_of
from rethinker.timing import Lap

LEARNER = ("forward", "backward", "optimiser")
"""What the learner's rate is measured over."""
_ODD = 1.5
"""A step is odd from so many times the median of its like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """On one stretch: seconds a step, their share, and of those with tokens how many a second."""

    seconds: float
    share: float
    tokens_per_second: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Some steps in a row.

    Attributes:
        seconds: Of a step, on average.
    """

    first: int
    last: int
    seconds: float
    stretches: dict[str, Spent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: seconds by stretch, and those of other threads by what they did."""

    step: int
    start: float
    seconds: float
    stretches: dict[str, float]
    overlapped: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """A step that took far longer than others that generate, or do not, as it does.

    Attributes:
        times: How many times as long as the median of them.
        stretch: What most of the difference was spent on, and `seconds` of it.
    """

    step: int
    times: float
    stretch: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile's figures; shares as fractions, None where nothing was measured.

    Attributes:
        device: The GPU, None on the CPU.
        bf16_rate: Its stated dense operations a second, where they are known.
        whole: All steps.
        typical: The steps of the episode that is the median by seconds a step.
        steady: All steps but the odd ones, a slow first one for instance.
        odd: Steps that say nothing about the others.
        operations_per_second: Of the tokens that passed the learner, over its forward, backward and optimiser.
        mfu: That rate over the chip's.
        padding: Places of attention's tables in the learner that hold no token.
        rows: Samples decoded in one forward, on average.
        overlapped: Seconds a step of other threads, all threads together.
    """

    device: str | None
    bf16_rate: float | None
    whole: Period | None
    typical: Period | None
    steady: Period | None
    odd: tuple[Odd, ...]
    operations_per_second: float | None
    mfu: float | None
    padding: float | None
    rows: float | None
    overlapped: dict[str, float]
    steps: tuple[Step, ...]


def measured(laps: Sequence[Lap], *, device: str | None) -> Profile:
    """The figures of some steps."""
    rate, odd = chip_rate(device), _odd(laps)
    strange = {each.step for each in odd}
    learner = sum(_seconds(lap)[name] for lap in laps for name in LEARNER)
    speed = _ratio(_counted(laps, "forward", "operations"), learner)
    return Profile(
        device=device,
        bf16_rate=rate,
        whole=_period(laps),
        typical=_period(_typical(laps)),
        steady=_period([lap for lap in laps if lap.step not in strange]),
        odd=odd,
        operations_per_second=speed,
        mfu=speed / rate if speed is not None and rate is not None else None,
        padding=_ratio(_counted(laps, "forward", "padding"), _counted(laps, "forward", "slots")),
        rows=_ratio(_counted(laps, "decode", "tokens"), _counted(laps, "decode", "columns")),
        overlapped={name: sum(lap.apart.get(name, 0.0) for lap in laps) / len(laps) for name in _apart(laps)},
        steps=tuple(
            Step(
                step=lap.step,
                start=lap.start,
                seconds=lap.seconds,
                stretches=_seconds(lap),
                overlapped=dict(lap.apart),
            )
            for lap in laps
        ),
    )


def _seconds(lap: Lap) -> dict[str, float]:
    """Of every stretch; `other` is what no span covers."""
    seconds = {stretch.name: 0.0 for stretch in STRETCHES}
    for path, part in lap.parts.items():
        seconds[stretch_of(path)] += part.seconds
    seconds["other"] += max(0.0, lap.seconds - sum(seconds.values()))
    return seconds


def _counted(laps: Sequence[Lap], stretch: str, what: str) -> float:
    return sum(
        part.counts.get(what, 0.0) for lap in laps for path, part in lap.parts.items() if stretch_of(path) == stretch
    )


def _apart(laps: Sequence[Lap]) -> list[str]:
    return sorted({name for lap in laps for name in lap.apart})


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _period(laps: Sequence[Lap]) -> Period | None:
    if not laps:
        return None
    total = sum(lap.seconds for lap in laps)
    by_lap = [_seconds(lap) for lap in laps]
    spent = {stretch.name: sum(seconds[stretch.name] for seconds in by_lap) for stretch in STRETCHES}
    return Period(
        first=laps[0].step,
        last=laps[-1].step,
        seconds=total / len(laps),
        stretches={
            name: Spent(
                seconds=seconds / len(laps),
                share=seconds / total,
                tokens_per_second=(_ratio(_counted(laps, name, "tokens"), seconds) or None) if name in PASSES else None,
            )
            for name, seconds in spent.items()
        },
    )


def _odd(laps: Sequence[Lap]) -> tuple[Odd, ...]:
    """Steps out of line, unless by what a setting says is done in some steps alone; of three alike at least."""
    found = []
    for generates in (True, False):
        alike = {lap.step: _seconds(lap) for lap in laps if bool(_seconds(lap)["decode"]) == generates}
        if len(alike) < 3:
            continue
        usual = {stretch.name: median(seconds[stretch.name] for seconds in alike.values()) for stretch in STRETCHES}
        whole = median(sum(seconds.values()) for seconds in alike.values())
        for step, seconds in alike.items():
            blamed = max(seconds, key=lambda name: seconds[name] - usual[name])
            times = sum(seconds.values()) / whole
            if times >= _ODD and blamed not in SELDOM:
                found.append(Odd(step=step, times=times, stretch=blamed, seconds=seconds[blamed] - usual[blamed]))
    return tuple(sorted(found, key=lambda odd: odd.step))


def _typical(laps: Sequence[Lap]) -> Sequence[Lap]:
    """An episode's steps belong together: the first has generated for all. One cut short by the run's end is none."""
    starts = [place for place, lap in enumerate(laps) if not place or _seconds(lap)["decode"]]
    episodes = [laps[start:end] for start, end in pairwise([*starts, len(laps)])]
    longest = max((len(episode) for episode in episodes), default=0)
    whole = sorted(
        (episode for episode in episodes if len(episode) == longest), key=lambda some: sum(lap.seconds for lap in some)
    )
    return whole[(len(whole) - 1) // 2] if whole else []
