"""Models side by side on one benchmark: accuracies on the questions that all answered, and differences to the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from rethinker.errors import ConfigError, DatasetError
from rethinker.evaluation.paired import (
    Flips,
    Interval,
    Scores,
    accuracy_interval,
    by_score,
    difference_interval,
    flips,
    weighted_mean,
)
from rethinker.evaluation.results import MACRO, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A model's accuracy minus the first's, on the same questions.

    Attributes:
        mean: In the benchmark's own mean.
        interval: 95 %, paired bootstrap over questions.
        by_score: It is a score interval instead: too few questions flip for a bootstrap.
        flips: None where a model has several samples of a question: then none of them is its answer.
    """

    mean: float
    interval: Interval
    by_score: bool
    flips: Flips | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One model in a comparison.

    Attributes:
        accuracy: On the common questions; over all samples of each.
        interval: 95 %.
        difference: To the first model; None for the first itself.
        cells: Cell of the breakdown asked for → (questions, accuracy, difference to the first).
        left_out: Questions of its own that not all the others have.
    """

    name: str
    accuracy: float
    interval: Interval
    difference: Difference | None
    cells: Mapping[str, tuple[int, float, Difference | None]]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is said of one benchmark.

    Attributes:
        conditions: Protocol and scoring, the same for all.
        differing: Setting that is not the same for all → its value per model, in order.
        questions: How many all of them answered.
    """

    benchmark: str
    conditions: Mapping[str, str]
    differing: Mapping[str, tuple[str, ...]]
    questions: int
    models: tuple[Compared, ...]


def by_benchmark(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Results of one benchmark together, in the order given.

    Raises:
        ConfigError: a result is given twice, or two of a benchmark were scored differently.
    """
    together: dict[str, list[Result]] = {}
    for result in results:
        others = together.setdefault(result.benchmark, [])
        for other in others:
            if other.path.resolve() == result.path.resolve():
                raise ConfigError(f"{result.path} is given twice; name it once")
        if others:
            check_comparable(others[0], result)
        others.append(result)
    return together


def check_comparable(first: Result, second: Result) -> None:
    """See that two accuracies mean the same.

    Raises:
        ConfigError: benchmark, protocol or scoring differ: a difference would be the rule's, not the model's.
    """
    for name in sorted({*first.conditions, *second.conditions}):
        here, there = first.conditions.get(name), second.conditions.get(name)
        if here != there:
            raise ConfigError(
                f"{first.path} and {second.path} differ in {name}: {here!r} and {there!r}, and their accuracies mean "
                "different things; score both in one way, or compare them apart"
            )
    if first.benchmark != second.benchmark:
        raise ConfigError(
            f"{first.path} is of {first.benchmark}, {second.path} of {second.benchmark}; name one benchmark"
        )


def common_questions(results: Sequence[Result]) -> list[str]:
    """Questions that all results have, in the first one's order.

    Raises:
        DatasetError: there is none.
    """
    shared = [id for id in results[0].rows if all(id in result.rows for result in results[1:])]  # noqa: A001
    if not shared:
        paths = ", ".join(str(result.path) for result in results)
        raise DatasetError(f"no question is common to {paths}; they hold results of different questions")
    return shared


def question_scores(result: Result, questions: Sequence[str]) -> Scores:
    """One score per question: the mean over its samples."""
    return np.array([fmean(row.score for row in result.rows[id]) for id in questions])  # noqa: A001


def question_weights(result: Result, questions: Sequence[str]) -> Scores:
    """What each question counts in the benchmark's own mean: the same, or the same for every task.

    Raises:
        DatasetError: a row does not name its task.
    """
    breakdown = MACRO.get(result.benchmark.split(" ")[0])
    if breakdown is None:
        return np.ones(len(questions))
    tasks = [tuple(result.rows[id][0].labels.get(breakdown, ())) for id in questions]  # noqa: A001
    if unnamed := [id for id, task in zip(questions, tasks) if not task]:  # noqa: A001
        raise DatasetError(
            f"{result.path}: {len(unnamed):,} rows, such as {unnamed[0]!r}, do not name their {breakdown}, and "
            f"{result.benchmark} is the mean over {breakdown}s; evaluate again with this version"
        )
    sizes = Counter(tasks)
    return np.array([1 / sizes[task] for task in tasks])


def compare(results: Sequence[Result], *, seed: int, breakdown: str | None = None) -> Comparison:
    """Compare one benchmark's results with the first of them.

    Args:
        results: Of the same conditions (`by_benchmark` sees to that); one alone is shown without differences.
        seed: Of the bootstrap.
        breakdown: One whose cells are compared too.

    Raises:
        DatasetError: there is no common question, or no such breakdown.
    """
    questions = common_questions(results)
    cells = _cells(results[0], questions, breakdown) if breakdown else {}
    return Comparison(
        benchmark=results[0].benchmark,
        conditions=results[0].conditions,
        differing=_differing(results),
        questions=len(questions),
        models=tuple(_compared(results[0], result, questions, cells, seed) for result in results),
    )


def difference(first: Result, second: Result, questions: Sequence[str], *, seed: int) -> Difference:
    """The second's accuracy minus the first's, on questions that both have."""
    gained = question_scores(second, questions) - question_scores(first, questions)
    weights = question_weights(first, questions)
    single = all(len(result.rows[id]) == 1 for result in (first, second) for id in questions)  # noqa: A001
    return Difference(
        mean=weighted_mean(gained, weights),
        interval=difference_interval(gained, weights, seed=seed, key=f"difference {first.benchmark}"),
        by_score=by_score(gained, weights),
        flips=flips(_verdicts(first, questions), _verdicts(second, questions)) if single else None,
    )


def _verdicts(result: Result, questions: Sequence[str]) -> dict[str, bool]:
    return {id: result.rows[id][0].correct for id in questions}  # noqa: A001


def _compared(
    first: Result, result: Result, questions: Sequence[str], cells: Mapping[str, Sequence[str]], seed: int
) -> Compared:
    scores, weights = question_scores(result, questions), question_weights(first, questions)
    shared = set(questions)

    def to_first(among: Sequence[str]) -> Difference | None:
        return None if result is first else difference(first, result, among, seed=seed)

    return Compared(
        name=result.name,
        accuracy=weighted_mean(scores, weights),
        interval=accuracy_interval(scores, weights, seed=seed, key=f"accuracy {first.benchmark}"),
        difference=to_first(questions),
        cells={
            name: (
                len(among),
                weighted_mean(question_scores(result, among), question_weights(first, among)),
                to_first(among),
            )
            for name, among in cells.items()
        },
        left_out=tuple(id for id in result.rows if id not in shared),  # noqa: A001
    )


def _cells(first: Result, questions: Sequence[str], breakdown: str) -> dict[str, list[str]]:
    cells: dict[str, list[str]] = {}
    known: set[str] = set()
    for id in questions:  # noqa: A001
        labels = first.rows[id][0].labels
        known.update(labels)
        for cell in labels.get(breakdown, ()):
            cells.setdefault(cell, []).append(id)
    if not cells:
        has = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise DatasetError(f"{first.path} has no breakdown {breakdown!r}; {has}")
    return dict(sorted(cells.items()))


def _differing(results: Sequence[Result]) -> dict[str, tuple[str, ...]]:
    values = {name: tuple(result.settings.get(name, "") for result in results) for name in results[0].settings}
    return {name: of for name, of in values.items() if len(set(of)) > 1}
