"""Reads what `rethinker eval` and `rethinker score` wrote back as rows, so that models can be compared by question.

A result is a folder of `rethinker eval`, one benchmark's folder in it, or a file of verdicts. Whatever is not one is
refused by name; nothing is guessed.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rethinker.errors import DatasetError
from rethinker.evaluation.settings import SCHEMA
from rethinker.evaluation.verdicts import WITHOUT_VERDICT

VERDICTS = "verdicts"
"""The benchmark of a file of verdicts: the file does not say."""

PLAIN = {"accuracy": "is the mean over rows"}
"""So of such a file: whose authors weigh rows otherwise is known of a folder of `rethinker eval` alone."""

MACRO = {"megabench": "task"}
"""Benchmarks whose accuracy is the mean of the means of a breakdown's cells, and that breakdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One scored answer.

    Attributes:
        extracted: The answer found in the response.
        score: In [0, 1]; an answer drawn at random counts as wrong.
        tokens: Generated for it, first and second thought together; None in a file of verdicts.
        first_correct: Whether the answer before rethinking was right; None where there was none.
        rethought: Whether there was a second thought, forced or spontaneous.
        labels: Breakdown → cells that its question counts in.
    """

    extracted: str | None
    score: float
    tokens: int | None
    first_correct: bool | None
    rethought: bool
    labels: Mapping[str, Sequence[str]]

    @property
    def correct(self) -> bool:
        """Whether the score is full."""
        return self.score == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A model's answers to one benchmark.

    Attributes:
        name: What tables call it: the folder of the evaluation, or the file of verdicts.
        path: Where it was read.
        benchmark: The benchmark's name, with its setting where it has several.
        conditions: What must be the same for two accuracies to mean the same: protocol, scoring.
        settings: What may differ between models that are compared, and is then said: prompt, sampling, rethinking.
        rows: Question id → its samples in order, in the order of the benchmark.
    """

    name: str
    path: Path
    benchmark: str
    conditions: Mapping[str, str]
    settings: Mapping[str, str]
    rows: Mapping[str, tuple[ResultRow, ...]]

    @property
    def samples(self) -> int:
        """Most samples of a question."""
        return max(map(len, self.rows.values()))


def read_results(path: Path) -> list[Result]:
    """Every benchmark that a result holds.

    Raises:
        DatasetError: it is no result, is empty, unfinished or damaged, or of another schema.
    """
    if path.is_file():
        return [_verdicts(path)]
    if (path / "result.json").is_file():
        return [_benchmark(path, name=path.resolve().parent.name)]
    if not path.exists():
        raise DatasetError(f"result {path} cannot be read: there is no such file or folder")
    found = sorted(file.parent for file in path.glob("*/result.json"))
    if not found:
        begun = any(path.glob("*/answers.jsonl"))
        fix = (
            "finish it with the same `rethinker eval` command" if begun else "name a folder that `rethinker eval` wrote"
        )
        state = "an evaluation without a finished benchmark" if begun else "no result: it has no */result.json"
        raise DatasetError(f"{path} is {state}; {fix}, or a file of `rethinker score --verdicts`")
    return [_benchmark(folder, name=path.resolve().name) for folder in found]


def _benchmark(folder: Path, *, name: str) -> Result:
    report = _json(folder / "result.json")
    try:
        settings = report["settings"]
        if settings["schema"] != SCHEMA:
            raise DatasetError(
                f"{folder} has schema {settings['schema']!r}, this version reads {SCHEMA}; evaluate again"
            )
        setting = report["setting"] or ""
        conditions = {
            "protocol": report["protocol"],
            "scoring": report["scoring"],
            "answers": "extracted" if report["extracted"] else "whole responses",
        }
        sampling = settings["sampling"]
        differing = {
            "prompt style": settings["style"],
            **{key: sampling[key] for key in ("temperature", "max_new_tokens", "samples")},
            **{key: settings[key] for key in ("rethink", "engine", "limit")},
        }
        benchmark = f"{report['benchmark']} {setting}".strip()
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{folder}/result.json lacks {error}: it is no result of `rethinker eval`") from error
    return Result(
        name=name,
        path=folder,
        benchmark=benchmark,
        conditions=conditions,
        settings={key: str(value) for key, value in differing.items()},
        rows=_rows(folder / "rows.jsonl"),
    )


def _verdicts(path: Path) -> Result:
    name = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return Result(name=name, path=path, benchmark=VERDICTS, conditions=PLAIN, settings={}, rows=_rows(path))


def _rows(path: Path) -> dict[str, tuple[ResultRow, ...]]:
    """Question → samples.

    Raises:
        DatasetError: a line is no verdict, stands twice, or there is none.
    """
    samples: dict[str, dict[int, ResultRow]] = {}
    for number, line in _lines(path):
        try:
            found = json.loads(line)
            name, sample, row = str(found["id"]), int(found.get("sample", 0)), _row(found)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DatasetError(
                f'{path} line {number} is no verdict ({error!r}); it needs {{"id", "score", …}}'
            ) from error
        if sample in samples.setdefault(name, {}):
            raise DatasetError(f"{path} line {number}: id {name!r}, sample {sample} stands in an earlier line too")
        if found.get("outcome") not in WITHOUT_VERDICT:
            samples[name][sample] = row
    rows = {name: tuple(of[sample] for sample in sorted(of)) for name, of in samples.items() if of}
    if not rows:
        raise DatasetError(f"{path} has no scored row; there is nothing to compare")
    return rows


def _row(found: Mapping[str, Any]) -> ResultRow:
    score = found["score"]
    if isinstance(score, bool) or not (score is None or 0 <= score <= 1):
        raise ValueError(f"score {score!r} is not within 0 and 1")
    tokens = found.get("tokens")
    return ResultRow(
        extracted=found["extracted"],
        score=float(score or 0),
        tokens=None if tokens is None else int(tokens),
        first_correct=found.get("first_correct"),
        rethought=bool(found.get("rethought", False)),
        labels=found.get("labels", {}),
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
