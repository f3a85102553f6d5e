"""From the `data` section of a configuration to training problems and held-out ones: a part of `build`.

Files are opened first, so that a wrong path is said before a model is loaded; only the model says how long prompts are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rethinker.config import Config
from rethinker.data.cache import Cached
from rethinker.data.columns import USUAL, Columns
from rethinker.data.gym.stream import GymSource, GymStream
from rethinker.data.hub import located
from rethinker.data.jsonl import JsonlSource
from rethinker.data.lengths import WithinLength
from rethinker.data.logicvista import LogicVistaSource
from rethinker.data.mixture import Joined, MixtureStream, Prefixed
from rethinker.data.parquet import ParquetSource, shards
from rethinker.data.quarantine import Quarantine
from rethinker.data.split import Subset, split
from rethinker.data.stream import ProblemStream
from rethinker.data.virl import open_virl
from rethinker.data_config import (
    ColumnsConfig,
    DataConfig,
    FileDataConfig,
    GymDataConfig,
    JsonlDataConfig,
    LogicVistaDataConfig,
    MixtureDataConfig,
    ParquetDataConfig,
    VirlDataConfig,
)
from rethinker.interfaces import ProblemSource, Stream
from rethinker.seeding import Purpose, key
from rethinker.types import Outline

Length = Callable[[Outline], int]
"""Tokens of the prompt that an outline becomes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problems:
    """What a run trains on, and what it is measured on."""

    stream: Stream
    validation: ProblemSource
    test: ProblemSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One data set.

    Attributes:
        name: Goes before its ids; empty where it is the only one.
        source: Its files, opened; None for the gym, which has none.
    """

    name: str
    weight: float
    data: GymDataConfig | FileDataConfig
    source: ProblemSource | None


def open_parts(data: DataConfig) -> list[Part]:
    """Open every file of the `data` section.

    Raises:
        DatasetError: a file is missing or unusable.
    """
    if not isinstance(data, MixtureDataConfig):
        return [Part(name="", weight=1.0, data=data, source=_source(data))]
    return [
        Part(
            name=part.name or f"{part.data.kind}-{place}",
            weight=part.weight,
            data=part.data,
            source=_source(part.data),
        )
        for place, part in enumerate(data.parts)
    ]


def max_quarantined(parts: list[Part]) -> float:
    """The share of bad rows that stops the run: the strictest part's."""
    return min([1.0, *(part.data.max_quarantined for part in parts if isinstance(part.data, FileDataConfig))])


def build_problems(config: Config, parts: list[Part], quarantine: Quarantine, length: Length) -> Problems:
    """Divide every part into training and held-out problems, and mix the parts.

    Raises:
        DatasetError: the training side of a part is empty.
    """
    if len(parts) == 1:
        return _problems(config, parts[0], quarantine, length, seed=config.seed, share=1.0)
    total = sum(part.weight for part in parts)
    found = [
        _problems(
            config,
            part,
            quarantine,
            length,
            seed=key(config.seed, Purpose.MIXTURE, problem_id=part.name),
            share=part.weight / total,
        )
        for part in parts
    ]
    return Problems(
        stream=MixtureStream([(each.stream, part.weight) for each, part in zip(found, parts)], seed=config.seed),
        validation=Joined([each.validation for each in found]),
        test=Joined([each.test for each in found]),
    )


def gym_mixture(data: GymDataConfig) -> list[tuple[str, int, float]]:
    """Family, level and weight of each ingredient."""
    return [(part.family, part.level, part.weight) for part in data.mixture]


def _problems(
    config: Config, part: Part, quarantine: Quarantine, length: Length, *, seed: int, share: float
) -> Problems:
    """One part's problems; `share` is its share of the held-out ones."""
    counts = [
        max(1, round(share * count))
        for count in (config.evaluation.validation_problems, config.evaluation.test_problems)
    ]
    if isinstance(part.data, GymDataConfig):
        mixture = gym_mixture(part.data)
        return Problems(
            stream=GymStream(mixture, seed=seed),
            validation=GymSource(mixture, split="validation", size=counts[0]),
            test=GymSource(mixture, split="test", size=counts[1]),
        )
    assert part.source is not None
    short = WithinLength(part.source, length, max_tokens=config.prompt.max_tokens)
    source = Cached(short, memory_bytes=part.data.image_bytes // 2)
    train, held_out = split(source, part.data.held_out)
    validation, test = split(held_out, 0.5, salt="test") if len(held_out) > 1 else (held_out, held_out)
    return Problems(
        stream=ProblemStream(
            _named(train, part.name),
            seed=seed,
            quarantine=quarantine,
            threads=part.data.threads,
            memory_bytes=part.data.image_bytes // 2,
        ),
        validation=_named(_first(validation, counts[0]), part.name),
        test=_named(_first(test, counts[1]), part.name),
    )


def _named(source: ProblemSource, name: str) -> ProblemSource:
    return Prefixed(source, name) if name else source


def _first(source: ProblemSource, rows: int) -> ProblemSource:
    """At most so many rows of a source."""
    return source if len(source) <= rows else Subset(source, range(rows))


def _source(data: GymDataConfig | FileDataConfig) -> ProblemSource | None:
    match data:
        case JsonlDataConfig():
            return JsonlSource(
                Path(data.path),
                images=_folder(data.images),
                max_pixels=data.max_image_pixels,
                columns=_columns(data.columns),
            )
        case LogicVistaDataConfig():
            return LogicVistaSource(data.path, max_pixels=data.max_image_pixels)
        case ParquetDataConfig():
            return ParquetSource(
                shards(located(data.path, revision=data.revision), split=data.split),
                images=_folder(data.images),
                max_pixels=data.max_image_pixels,
                columns=_columns(data.columns),
                row_group_bytes=data.row_group_bytes,
            )
        case VirlDataConfig():
            return open_virl(
                Path(data.path),
                images=_folder(data.images),
                subset=data.subset,
                max_pixels=data.max_image_pixels,
                row_group_bytes=data.row_group_bytes,
            )
    return None


def _folder(path: str) -> Path | None:
    return Path(path) if path else None


def _columns(named: ColumnsConfig) -> Columns:
    """The usual columns, but for those that are named."""

    def names(name: str, usual: tuple[str, ...]) -> tuple[str, ...]:
        return (name,) if name else usual

    return Columns(
        question=names(named.question, USUAL.question),
        answer=names(named.answer, USUAL.answer),
        images=names(named.images, USUAL.images),
        choices=names(named.choices, USUAL.choices),
        id=names(named.id, USUAL.id),
        category=names(named.category, USUAL.category),
        source=names(named.source, USUAL.source),
    )
