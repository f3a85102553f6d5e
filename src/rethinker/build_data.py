"""From the `data` section of a configuration to training problems and held-out ones: a part of `build`.

Files are opened first, so that a wrong path is said before a model is loaded; only the model says how long prompts are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import expanduser
from pathlib import Path

from rethinker.config import Config
from rethinker.data.cache import Cached
from rethinker.data.columns import USUAL
from rethinker.data.gym.stream import GymSource, GymStream
from rethinker.data.hub import located
from rethinker.data.jsonl import JsonlSource
from rethinker.data.lengths import WithinLength
from rethinker.data.logicvista import LogicVistaSource
from rethinker.data.mixture import Joined, MixtureStream, Prefixed, PrefixedStream
from rethinker.data.parquet import ParquetSource, shards
from rethinker.data.prefetch import Prepare
from rethinker.data.quarantine import Quarantine
from rethinker.data.split import sample, split
from rethinker.data.stream import ProblemStream
from rethinker.data.virl import open_virl
from rethinker.data_config import (
    DataConfig,
    FileDataConfig,
    GymDataConfig,
    JsonlDataConfig,
    LogicVistaDataConfig,
    MixtureDataConfig,
    ParquetDataConfig,
    VirlDataConfig,
)
from rethinker.errors import DatasetError
from rethinker.interfaces import ProblemSource, Stream
from rethinker.seeding import Purpose, key
from rethinker.types import Outline

Length = Callable[[Outline], int]
"""Tokens of the prompt that an outline becomes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problems:
    """What a run trains on, what it is measured on, and where the bad rows of both go.

    Attributes:
        training_rows: Different rows that `stream` has, good or bad; None where the gym draws without end.
    """

    stream: Stream
    training_rows: int | None
    validation: ProblemSource
    test: ProblemSource
    quarantine: Quarantine


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
        Part(name=name, weight=part.weight, data=part.data, source=_source(part.data))
        for name, part in zip(data.names, data.parts, strict=True)
    ]


def build_problems(config: Config, parts: list[Part], length: Length, *, prepare: Prepare | None = None) -> Problems:
    """Divide every part into training and held-out problems, and mix the parts.

    Args:
        length: Tokens of a prompt, from its outline.
        prepare: What the reading threads do with a training problem besides.

    Raises:
        DatasetError: the training side of a part is empty.
    """
    total = sum(part.weight for part in parts)
    divided = [_divide(config, part, length, share=part.weight / total) for part in parts]
    quarantine = _quarantine(parts, divided)
    streams = [
        _stream(part, sides.training, quarantine, prepare, seed=_seed(config, part))
        for part, sides in zip(parts, divided)
    ]
    return Problems(
        stream=_mixed(streams, [part.weight for part in parts], seed=config.seed),
        training_rows=_rows([sides.training for sides in divided]),
        validation=_joined([sides.validation for sides in divided]),
        test=_joined([sides.test for sides in divided]),
        quarantine=quarantine,
    )


def refuse_too_few(problems: Problems, queries: int) -> None:
    """Say at the start what the first round would find after the first measurement, which may take minutes.

    Raises:
        DatasetError: a round needs more different problems than there are rows.
    """
    rows = problems.training_rows
    if rows is not None and rows < queries:
        raise DatasetError(
            f"sampler.queries={queries} different problems are needed at a time, and the training side of the data set "
            f"has {rows}; lower sampler.queries (a multiple of train.updates_per_episode) or give it more"
        )


def gym_mixture(data: GymDataConfig) -> list[tuple[str, int, float]]:
    """Family, level and weight of each ingredient."""
    return [(part.family, part.level, part.weight) for part in data.mixture]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Divided:
    """The sides of one part.

    Attributes:
        training: None for the gym, whose training problems are drawn without end.
        rows: Different rows that a run can reach; 0 for the gym.
    """

    training: ProblemSource | None
    validation: ProblemSource
    test: ProblemSource
    rows: int = 0


def _divide(config: Config, part: Part, length: Length, *, share: float) -> _Divided:
    """Hold out part of a part; `share` is its share of the held-out problems wanted."""
    wanted = (config.evaluation.validation_problems, config.evaluation.test_problems)
    counts = [max(1, round(share * count)) for count in wanted]
    if isinstance(part.data, GymDataConfig):
        mixture = gym_mixture(part.data)
        return _Divided(
            training=None,
            validation=_named(GymSource(mixture, split="validation", size=counts[0]), part.name),
            test=_named(GymSource(mixture, split="test", size=counts[1]), part.name),
        )
    assert part.source is not None
    short = WithinLength(part.source, length, max_tokens=config.prompt.max_tokens)
    training, held_out = split(Cached(short, memory_bytes=part.data.image_bytes // 2), part.data.held_out)
    halves = split(held_out, 0.5, salt="test") if len(held_out) > 1 else (held_out, held_out)
    validation, test = (_named(sample(half, count), part.name) for half, count in zip(halves, counts))
    rows = len(training) + min(len(held_out), len(validation) + len(test))
    return _Divided(training=_named(training, part.name), validation=validation, test=test, rows=rows)


def _quarantine(parts: list[Part], divided: list[_Divided]) -> Quarantine:
    """The strictest part's share is for all; judged from 50 rows on, or when a smaller data set is through."""
    training = sum(len(sides.training) for sides in divided if sides.training is not None)
    shares = [part.data.max_quarantined for part in parts if isinstance(part.data, FileDataConfig)]
    return Quarantine(
        max_share=min([1.0, *shares]), minimum=min(50, sum(sides.rows for sides in divided)), training_rows=training
    )


def _rows(training: Sequence[ProblemSource | None]) -> int | None:
    sources = [source for source in training if source is not None]
    return sum(map(len, sources)) if len(sources) == len(training) else None


def _stream(
    part: Part, training: ProblemSource | None, quarantine: Quarantine, prepare: Prepare | None, *, seed: int
) -> Stream:
    if isinstance(part.data, GymDataConfig):
        if part.name:  # under which problems are others than those that were drawn ahead
            return PrefixedStream(GymStream(gym_mixture(part.data), seed=seed), part.name)
        return GymStream(gym_mixture(part.data), seed=seed, prepare=prepare, threads=1)
    assert training is not None
    return ProblemStream(
        training,
        seed=seed,
        quarantine=quarantine,
        fingerprint=part.source.fingerprint if part.source else "",
        prepare=prepare,
        threads=part.data.threads,
        memory_bytes=part.data.image_bytes // 2,
    )


def _seed(config: Config, part: Part) -> int:
    """The run's own where there is one part; else one that the part's name keys."""
    return key(config.seed, Purpose.MIXTURE, problem_id=part.name) if part.name else config.seed


def _mixed(streams: list[Stream], weights: list[float], *, seed: int) -> Stream:
    return streams[0] if len(streams) == 1 else MixtureStream(list(zip(streams, weights)), seed=seed)


def _joined(sources: list[ProblemSource]) -> ProblemSource:
    return sources[0] if len(sources) == 1 else Joined(sources)


def _named(source: ProblemSource, name: str) -> ProblemSource:
    return Prefixed(source, name) if name else source


def _source(data: GymDataConfig | FileDataConfig) -> ProblemSource | None:
    match data:
        case JsonlDataConfig():
            return JsonlSource(
                Path(expanduser(data.path)),
                images=_folder(data.images),
                max_pixels=data.max_image_pixels,
                columns=USUAL.named(**data.columns.model_dump()),
            )
        case LogicVistaDataConfig():
            return LogicVistaSource(expanduser(data.path), max_pixels=data.max_image_pixels)
        case ParquetDataConfig():
            return ParquetSource(
                shards(located(expanduser(data.path), revision=data.revision), split=data.split),
                images=_folder(data.images),
                max_pixels=data.max_image_pixels,
                columns=USUAL.named(**data.columns.model_dump()),
                row_group_bytes=data.row_group_bytes,
            )
        case VirlDataConfig():
            return open_virl(
                Path(expanduser(data.path)),
                images=_folder(data.images),
                subset=data.subset,
                max_pixels=data.max_image_pixels,
                row_group_bytes=data.row_group_bytes,
            )
    return None


def _folder(path: str) -> Path | None:
    return Path(expanduser(path)) if path else None
