"""MEGA-Bench: 505 tasks, 440 scored by rules and 65 by a judge; the score is the mean of the tasks' means.

The official parsers, metrics and aggregation run in a worker with packages of their own (`evaluation.megabench`).
Videos are named and marked in their places, but not decoded here.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from rethinker.errors import ConfigError, DatasetError
from rethinker.evaluation.benchmark import NotScoredError, Question, RowVerdict
from rethinker.evaluation.image_refs import ImageRef
from rethinker.evaluation.judge import Judge
from rethinker.evaluation.judged import JudgedBenchmark
from rethinker.evaluation.megabench.demonstrations import demonstration
from rethinker.evaluation.megabench.judging import judge_score
from rethinker.evaluation.megabench.metrics import JUDGED
from rethinker.evaluation.megabench.process import MetricsLostError, MetricsProcess
from rethinker.evaluation.published import PublishedRow, published_rows
from rethinker.evaluation.scorers import checked_folder

CONFIGURATIONS = ("core", "open", "core_single_image", "open_single_image")
RUN_CODE = "run-code"

_LITERALS = ("global_media", "example_media", "query_media", "answer", "metric_info", "eval_context")
_TEXTS = ("task_description", "example_text", "query_text")
_MARK = re.compile(r"(<image>|<video>)")
_VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".flv", ".wmv"})
_DEMONSTRATION_IMAGES = 4
"""Most images of the demonstration that the official prompt shows; their marks go with the others."""

_DIMENSIONS = {
    "skills": "skills",
    "input_format": "input_format",
    "output_format": "output_format",
    "input_num": "num_input",
    "app": "app",
}
"""Official breakdown → where a task's description has it."""


class MegaBench(JudgedBenchmark):
    """MEGA-Bench in one of the hub's configurations.

    Args:
        setting: One of `CONFIGURATIONS` (none takes core and open), or `RUN_CODE`, or both with a comma: let the eight
            programming tasks run the programs that they score, in the sandbox.
    """

    name = "megabench"
    styles = ("cot",)

    def __init__(self, setting: str = "") -> None:
        words = [word for word in setting.split(",") if word]
        subsets = [word for word in words if word in CONFIGURATIONS]
        if set(words) - {RUN_CODE, *subsets} or len(subsets) > 1:
            raise ConfigError(
                f"megabench has no setting {setting!r}; choose at most one of {', '.join(CONFIGURATIONS)}, and "
                f"{RUN_CODE} to run programs"
            )
        self._configurations = tuple(subsets) or CONFIGURATIONS[:2]
        self._run_code = RUN_CODE in words
        self._without_code = "" if self._run_code else ", without running code"
        self.scoring_name = f"rules, without the judge{self._without_code}"

    def read(self, path: Path) -> list[Question]:
        """The hub's parquet with its media unpacked beside it, or the authors' pages: a question per demonstration."""
        pages = path.is_file() and path.name.startswith("task_metric_info")
        if pages:
            return [
                _page_question(row) for row in published_rows(path, needs=("metric_info", "eval_context", "readme"))
            ]
        rows = published_rows(path, needs=("id", "task_name", *_TEXTS, *_LITERALS))
        chosen = [row for row in rows if not path.is_dir() or self._holds(path, row.file)]
        if not chosen:
            raise DatasetError(f"{path} holds nothing of {' and '.join(self._configurations)}")
        return [_question(row) for row in chosen]

    def _holds(self, path: Path, shard: Path) -> bool:
        """Whether a shard is of a configuration asked for; one that no folder names is."""
        names = {*shard.relative_to(path.parent).parts, shard.name.split("-")[0]} & set(CONFIGURATIONS)
        return not names or any(name in self._configurations for name in names)

    def prompt(self, question: Question, style: str) -> str:
        """Description with the global media, demonstration, question; parts stand beside each other as in a chat."""
        assert style in self.styles
        texts = [question.extra["description"], question.extra["example"], question.text]
        return "".join(part for text in texts for part in _parts(str(text)))

    def verdict(self, question: Question, response: str, *, extracted: bool) -> RowVerdict:
        """Score by the official metrics.

        Raises:
            NotScoredError: the task needs a judge, or a metric that cannot work here.
        """
        return self._verdict(question, response, None, extracted=extracted)

    def asks_judge(self, *, extracted: bool) -> bool:  # noqa: ARG002 (what is judged is how good an answer is)
        """Always, for 65 of the tasks."""
        return True

    def scoring_by(self, model: str) -> str:
        """The rules score most tasks beside any judge."""
        return f"rules and judge {model}{self._without_code}"

    def judged(self, question: Question, response: str, judge: Judge, *, extracted: bool) -> RowVerdict:
        """As `verdict`, with a judge for the fields that need one.

        Raises:
            NotScoredError: a metric cannot work here, or the judge would miss instructions or images.
            JudgeError: the judge gave no score; the row has no verdict.
        """
        return self._verdict(question, response, judge, extracted=extracted)

    def mean(self, rows: Sequence[tuple[Question, float]]) -> float:
        """The mean of the tasks' means. Of core and open together it is the official overall score."""
        tasks: dict[str, list[float]] = defaultdict(list)
        for question, score in rows:
            tasks[str(question.extra["task"])].append(score)
        means = [math.fsum(scores) / len(scores) for scores in tasks.values()]
        return math.fsum(means) / len(means)

    def prepare(self) -> None:
        """Start the metrics' worker; it refuses when any metric could not work."""
        self._metrics().start()

    def _metrics(self) -> MetricsProcess:
        return _metrics(self._run_code)

    def _verdict(self, question: Question, response: str, judge: Judge | None, *, extracted: bool) -> RowVerdict:
        request = {
            "rule": question.extra["rule"],
            "answer": question.answer,
            "context": question.extra["context"],
            "question": question.text,
            "response": response,
            "extracted": extracted,
            "given": {},
        }
        try:
            reply = self._metrics().score(request)
            found = _shown(reply["parsed"])
            if reply["unusable"]:
                reasons = "; ".join(f"{kind}: {why}" for kind, why in reply["unusable"].items())
                raise NotScoredError(reasons)
            if reply["asks"]:
                if judge is None:
                    raise NotScoredError("a judge scores it, and there is none (--judge)")
                given = {field: judge_score(question, shown, judge) for field, shown in reply["asks"].items()}
                reply = self._metrics().score({**request, "given": given})
        except MetricsLostError as error:
            return RowVerdict(extracted=None, score=0.0, why=f"{error}, which counts as wrong")
        why = ", ".join(
            [*(f"{field}: {_functions(question)[field]} {score:g}" for field, score in reply["fields"].items())]
            + reply["notes"]
        )
        return RowVerdict(extracted=found, score=min(max(reply["score"], 0.0), 1.0), why=why)


@cache
def _metrics(run_code: bool) -> MetricsProcess:
    """One worker per process of ours, whatever number of benchmarks."""
    return MetricsProcess(run_code=run_code)


@cache
def _tasks() -> Mapping[str, Mapping[str, Any]]:
    """The official description of every task: what the breakdowns go by."""
    file = checked_folder("megabench") / "lmms_eval" / "tasks" / "megabench" / "breakdown" / "all_task_meta.json"
    tasks = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(tasks, dict)
    return tasks


def _question(row: PublishedRow) -> Question:
    fields: dict[str, Any] = {
        name: _literal(row, name) if name in _LITERALS else row.fields[name] for name in row.fields
    }
    example, shown = _within_quota(str(fields["example_text"] or ""), fields["example_media"])
    texts = (str(fields["task_description"]), str(fields["example_text"] or ""), str(fields["query_text"]))
    for text, media in zip(texts, (fields["global_media"], fields["example_media"], fields["query_media"])):
        if (marks := len(_MARK.findall(text))) != len(media):
            raise DatasetError(f"{row.file}, question {fields['id']}: {marks} marks for {len(media)} media")
    media = [*fields["global_media"], *shown, *fields["query_media"]]
    return _made(
        identity=str(fields["id"]),
        task=str(fields["task_name"]),
        texts=(texts[0], example, texts[2]),
        answer=fields["answer"],
        rule=fields["metric_info"],
        context=fields["eval_context"],
        images=tuple(_images(row.file, media)),
        query_images=len(fields["query_media"]),
    )


def _page_question(row: PublishedRow) -> Question:
    rule = row.fields["metric_info"]
    if not isinstance(rule, dict):
        raise DatasetError(f"{row.file}, task {row.key}: metric_info is no object")
    try:
        page = demonstration(str(row.fields["readme"]), rule)
    except ValueError as error:
        raise DatasetError(f"{row.file}, task {row.key}: {error}") from error
    return _made(
        identity=row.key,
        task=row.key,
        texts=(page.description, page.example, page.query),
        answer={**dict.fromkeys(rule["field_score_function"], ""), **page.answer},
        rule=rule,
        context=_literal(row, "eval_context"),
        images=(),
        query_images=0,
    )


def _made(
    *,
    identity: str,
    task: str,
    texts: tuple[str, str, str],
    answer: object,
    rule: Mapping[str, Any],
    context: object,
    images: tuple[ImageRef, ...],
    query_images: int,
) -> Question:
    judged = set(rule["field_score_function"].values()) & set(JUDGED)
    return Question(
        id=identity,
        text=texts[2],
        options=(),
        answer=answer,
        kind="llm" if judged else "rule",
        labels={"subset": ("open" if judged else "core",), "task": (task,), **_labels(task)},
        images=images,
        extra={
            "task": task,
            "description": texts[0],
            "example": texts[1],
            "rule": rule,
            "context": context,
            "query_images": query_images,
        },
    )


def _labels(task: str) -> dict[str, tuple[str, ...]]:
    """The cells of the five official dimensions; a task that the authors do not describe counts in none."""
    described = _tasks().get(task, {})
    cells = {dimension: described[key] for dimension, key in _DIMENSIONS.items() if described.get(key)}
    return {name: tuple(cell) if isinstance(cell, list) else (cell,) for name, cell in cells.items()}


def _literal(row: PublishedRow, column: str) -> Any:
    """A column that the hub publishes as the text of a Python value."""
    value = row.fields[column]
    try:
        value = ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise DatasetError(f"{row.file}, column {column}: {str(value)[:60]!r} is no value ({error})") from error
    kind = list if column.endswith("_media") else dict
    if not isinstance(value, kind):
        raise DatasetError(f"{row.file}, column {column}: {str(value)[:60]!r} is no {kind.__name__}")
    return value


def _within_quota(example: str, media: Sequence[str]) -> tuple[str, list[str]]:
    """The demonstration without the marks, and the media, that the official prompt leaves out."""
    parts, shown, images = [], [], 0
    paths = iter(media)
    for part in _MARK.split(example):
        if _MARK.fullmatch(part) and (path := next(paths, None)) is not None:
            video = PurePosixPath(path).suffix.lower() in _VIDEO_SUFFIXES
            if not video and images >= _DEMONSTRATION_IMAGES:
                continue
            images += not video
            shown.append(path)
        parts.append(part)
    return "".join(parts), shown


def _parts(text: str) -> Iterator[str]:
    """A text cut at its marks, each piece without the white space around it."""
    return (part.strip() for part in _MARK.split(text))


def _images(file: Path, media: Sequence[str]) -> Iterator[ImageRef]:
    """Where the media lie: below the nearest folder above the shard that has the first; none where it is alone."""
    paths = [PurePosixPath(path) for path in media]
    if wrong := [path for path in paths if path.is_absolute() or ".." in path.parts]:
        raise DatasetError(f"{file}: the media path {wrong[0]} leads out of the data folder")
    roots = (folder for folder in file.absolute().parents if paths and (folder / paths[0]).is_file())
    if root := next(roots, None):
        yield from (ImageRef(file=root / path, column="media") for path in paths)


def _functions(question: Question) -> Mapping[str, str]:
    rule: Any = question.extra["rule"]
    return rule["field_score_function"]


def _shown(parsed: object) -> str:
    """What was found, as one text."""
    if isinstance(parsed, dict) and len(parsed) == 1:
        parsed = next(iter(parsed.values()))
    return parsed if isinstance(parsed, str) else json.dumps(parsed, ensure_ascii=False)
