"""All benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rethinker.errors import ConfigError
from rethinker.evaluation.benchmark import Benchmark
from rethinker.evaluation.benchmarks.emma import Emma
from rethinker.evaluation.benchmarks.mathverse import MathVerse
from rethinker.evaluation.benchmarks.mathvision import MathVision
from rethinker.evaluation.benchmarks.mathvista import MathVista
from rethinker.evaluation.benchmarks.megabench import MegaBench
from rethinker.evaluation.benchmarks.mmmu import MMMU
from rethinker.evaluation.benchmarks.mmmu_pro import MMMUPro
from rethinker.evaluation.boxed import Boxed

Protocol = Literal["official", "boxed"]


def without_settings(name: str, make: Callable[[], Benchmark]) -> Callable[[str], Benchmark]:
    """What makes a benchmark that has no settings, and says so."""

    def made(setting: str) -> Benchmark:
        if setting:
            raise ConfigError(f"{name} has no settings; leave out --setting {setting}")
        return make()

    return made


BENCHMARKS: dict[str, Callable[[str], Benchmark]] = {
    "mathvision": MathVision,
    "emma": without_settings("emma", Emma),
    "mathvista": MathVista,
    "mathverse": MathVerse,
    "mmmu": MMMU,
    "mmmu_pro": MMMUPro,
    "megabench": MegaBench,
}
"""Name → what makes the benchmark in a setting; most know none but the empty one."""


def benchmark(name: str, setting: str = "") -> Benchmark:
    """The benchmark of a name.

    Raises:
        ConfigError: there is none, or it has no such setting.
    """
    if name not in BENCHMARKS:
        raise ConfigError(f"there is no benchmark {name!r}; choose one of {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name](setting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which rule scores: all that a worker must be told.

    Attributes:
        name: The benchmark's.
        setting: One of its settings; empty for its only one.
        protocol: Its authors' prompt and rule, or the uniform ones.
        extracted: Responses are answers already.
    """

    name: str
    setting: str = ""
    protocol: Protocol = "official"
    extracted: bool = False

    def benchmark(self) -> Benchmark:
        """The benchmark that reads, asks and scores so.

        Raises:
            ConfigError: there is none of that name, or it has no such setting.
        """
        official = benchmark(self.name, self.setting)
        return Boxed(official) if self.protocol == "boxed" else official
