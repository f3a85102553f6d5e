"""Benchmarks whose official protocol leaves a step to a language model, and the scoring of many responses by one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

from rethinker.errors import JudgeError
from rethinker.evaluation.benchmark import Benchmark, Question, RowVerdict
from rethinker.evaluation.judge import Judge


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
