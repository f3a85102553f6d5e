"""From responses to accuracies: rows scored by worker processes, then every cell that the benchmark's authors report.

The same for all benchmarks. Accuracy is over the rows that have a prediction.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass

from rethinker.errors import RethinkerError
from rethinker.evaluation.benchmark import Benchmark, Question
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.scorers import checked_folder
from rethinker.evaluation.verdicts import WITHOUT_VERDICT, RowOutcome, Scored
from rethinker.evaluation.worker import Row, decoded, failed, pack_rows
from rethinker.rewards.process import Work, WorkerLostError
from rethinker.rewards.worker_pool import WorkerPool
from rethinker.runs.intervals import wilson
from rethinker.types import Outcome

ROW_SECONDS = 2.0
"""Most seconds of CPU time for one row."""

HUNG_SECONDS = 20.0
"""Most seconds for one row by the clock, on a machine however busy."""

MEMORY_BYTES = 2_000_000_000
"""Address space that a worker may add while it scores."""

AHEAD = 512
"""Rows handed to the workers before the first of them is taken back."""


class RowScorer:
    """Scores rows by one rule in worker processes, each row within a limit. A context manager.

    Raises:
        RethinkerError: the rule's scorer environment is missing, or a worker cannot be started.
        ConfigError: there is no such benchmark or setting.
    """

    def __init__(self, rule: Rule, *, workers: int, row_seconds: float = ROW_SECONDS) -> None:
        scorer = rule.benchmark().scorer
        work: Work[Row, Scored] = Work(
            module="rethinker.evaluation.worker",
            settings={"rule": asdict(rule), "memory_bytes": MEMORY_BYTES, "row_seconds": row_seconds},
            pack=pack_rows,
            decode=decoded,
            timeout_seconds=HUNG_SECONDS,
            memory_limit=f"{MEMORY_BYTES} bytes",
            folder=os.getcwd(),
            packages=checked_folder(scorer) if scorer else None,
        )
        try:
            self._pool = WorkerPool(work, _lost, workers=workers)
        except WorkerLostError as error:
            raise RethinkerError(f"a worker that scores {rule.name} did not start: {error}") from error

    def submit(self, question: Question, response: str) -> Future[Scored]:
        """Queue one row; its future always resolves."""
        return self._pool.submit((question, response))

    def score(self, rows: Iterator[Row]) -> Iterator[Scored]:
        """Score rows as they come; yield the outcomes in their order. Few are held at a time."""
        waiting: deque[Future[Scored]] = deque()
        for row in rows:
            waiting.append(self._pool.submit(row))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def __enter__(self) -> RowScorer:
        """The scorer itself; its workers are ready."""
        return self

    def __exit__(self, *ended: object) -> None:
        """Kill the workers."""
        self._pool.close()


def _lost(row: Row, outcome: Outcome, why: str) -> Scored:  # noqa: ARG001 (the row's own answer was never seen)
    return failed(RowOutcome.TIMEOUT if outcome is Outcome.TIMEOUT else RowOutcome.ERROR, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A share of some rows.

    Attributes:
        accuracy: Their score, by the benchmark's own mean.
        correct: Rows with a full score.
        predicted: Rows.
    """

    accuracy: float
    correct: int
    predicted: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share of rows with a full score."""
        return wilson(self.correct, self.predicted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a benchmark's table says of a model.

    Attributes:
        overall: All predicted rows; None where there is none.
        breakdowns: Breakdown → cell → its rows.
        outcomes: Rows by how their scoring ended.
        fallback: Overall accuracy if none, and if all, of the answers drawn at random came out right.
    """

    overall: Cell | None
    breakdowns: Mapping[str, Mapping[str, Cell]]
    outcomes: Counter[RowOutcome]
    fallback: tuple[float, float] | None


def summed_up(benchmark: Benchmark, rows: Sequence[tuple[Question, Scored]]) -> Score:
    """Count scored rows into every cell; one that could not be scored is in none."""
    outcomes = Counter(scored.outcome for _, scored in rows)
    rows = [(question, scored) for question, scored in rows if scored.outcome not in WITHOUT_VERDICT]
    cells: dict[str, dict[str, list[tuple[Question, Scored]]]] = {}
    for question, scored in rows:
        for breakdown, names in question.labels.items():
            of = cells.setdefault(breakdown, {})
            for name in names:
                of.setdefault(name, []).append((question, scored))
    return Score(
        overall=_cell(benchmark, rows) if rows else None,
        breakdowns={
            breakdown: {name: _cell(benchmark, of[name]) for name in sorted(of)} for breakdown, of in cells.items()
        },
        outcomes=outcomes,
        fallback=_fallback(benchmark, rows) if rows else None,
    )


def score_rows(
    scorer: RowScorer,
    questions: Sequence[Question],
    responses: Mapping[str, str],
    *,
    advance: Callable[[], object] = lambda: None,
) -> list[tuple[Question, Scored]]:
    """Score all questions that have a response, in the questions' order.

    Args:
        advance: Called after each row.
    """
    asked = [question for question in questions if question.id in responses]
    found = []
    for question, scored in zip(asked, scorer.score((each, responses[each.id]) for each in asked), strict=True):
        found.append((question, scored))
        advance()
    return found


def not_scored(rows: Sequence[tuple[Question, Scored]]) -> dict[str, dict[str, int]]:
    """Why nothing here can score rows → their tasks, or their kinds where there are none → how many rows."""
    reasons: dict[str, Counter[str]] = {}
    for question, scored in rows:
        if scored.outcome is RowOutcome.NOT_SCORED:
            names = question.labels.get("task", (question.kind,))
            reasons.setdefault(scored.verdict.why, Counter()).update(names)
    return {why: dict(names) for why, names in reasons.items()}


def unjudged(rows: Sequence[tuple[Question, Scored]]) -> list[str]:
    """The rows that a judge left without a verdict, with the reason."""
    return [f"id {each.id!r}: {of.verdict.why}" for each, of in rows if of.outcome is RowOutcome.UNJUDGED]


def _cell(benchmark: Benchmark, rows: Sequence[tuple[Question, Scored]]) -> Cell:
    return Cell(
        accuracy=benchmark.mean([(question, scored.score) for question, scored in rows]),
        correct=sum(scored.outcome is RowOutcome.CORRECT for _, scored in rows),
        predicted=len(rows),
    )


def _fallback(benchmark: Benchmark, rows: Sequence[tuple[Question, Scored]]) -> tuple[float, float]:
    lowest = [(question, scored.score) for question, scored in rows]
    highest = [(question, 1.0 if scored.verdict.score is None else scored.score) for question, scored in rows]
    return benchmark.mean(lowest), benchmark.mean(highest)
