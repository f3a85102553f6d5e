"""Benchmarks whose official protocol leaves a step to a language model, and the scoring of many responses by one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from rethinker.errors import ConfigError, JudgeError
from rethinker.evaluation.benchmark import Benchmark, Question, RowVerdict
from rethinker.evaluation.judge import Judge
from rethinker.evaluation.verdicts import Scored, outcome_of


class JudgedBenchmark(Benchmark):
    """A benchmark with a judge's step; `verdict` is what rules alone can say."""

    scoring_name = "rules, without the judge"

    @abstractmethod
    def asks_judge(self, *, extracted: bool) -> bool:
        """Whether the protocol asks a judge at all; where not, `verdict` is the official score."""

    @abstractmethod
    def judged(self, question: Question, response: str, judge: Judge, *, extracted: bool) -> RowVerdict:
        """Score one response as officially.

        Raises:
            JudgeError: the judge gave no usable answer; the row has no verdict.
        """


def scoring_of(benchmark: Benchmark, judge: Judge | None, *, extracted: bool) -> str:
    """What a table calls the scoring: a judge counts only where the protocol asks one."""
    if not isinstance(benchmark, JudgedBenchmark):
        return benchmark.scoring_name
    if not benchmark.asks_judge(extracted=extracted):
        return "rules"
    return f"judge {judge.model}" if judge else benchmark.scoring_name


def judged_rows(
    benchmark: Benchmark,
    questions: Sequence[Question],
    responses: Mapping[str, str],
    judge: Judge,
    *,
    extracted: bool,
    advance: Callable[[], object] = lambda: None,
) -> tuple[list[tuple[Question, Scored]], list[tuple[Question, JudgeError]]]:
    """Score all questions that have a response, in the questions' order; apart, those that the judge left unscored.

    Raises:
        ConfigError: the benchmark is scored by rules alone.
    """
    if not isinstance(benchmark, JudgedBenchmark):
        raise ConfigError(f"{benchmark.name} is scored by rules alone in this protocol; leave out --judge")
    asked = [question for question in questions if question.id in responses]
    scored: list[tuple[Question, Scored]] = []
    failed: list[tuple[Question, JudgeError]] = []
    rows = [(question, responses[question.id]) for question in asked]
    for question, found in zip(asked, judge_all(benchmark, rows, judge, extracted=extracted, advance=advance)):
        if isinstance(found, JudgeError):
            failed.append((question, found))
        else:
            scored.append((question, Scored(verdict=found, outcome=outcome_of(found))))
    return scored, failed


def judge_all(
    benchmark: JudgedBenchmark,
    rows: Sequence[tuple[Question, str]],
    judge: Judge,
    *,
    extracted: bool,
    threads: int = 8,
    advance: Callable[[], object] = lambda: None,
) -> Generator[RowVerdict | JudgeError, None, None]:
    """Every row's verdict in order, or why the judge gave none; several rows are asked at a time.

    Args:
        rows: Questions and responses.
        advance: Called after each row.
    """

    def scored(row: tuple[Question, str]) -> RowVerdict | JudgeError:
        try:
            return benchmark.judged(*row, judge, extracted=extracted)
        except JudgeError as error:
            return error

    pool = ThreadPoolExecutor(threads, thread_name_prefix="judge")
    try:
        for verdict in pool.map(scored, rows):
            advance()
            yield verdict
    finally:
        pool.shutdown(cancel_futures=True)  # whoever stops waits for the questions under way alone
