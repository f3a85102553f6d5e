"""Benchmarks whose official protocol leaves a step to a language model, and the scoring of many responses by one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from rethinker.errors import ConfigError, JudgeError
from rethinker.evaluation.benchmark import Benchmark, NotScoredError, Question, RowVerdict
from rethinker.evaluation.judge import Judge
from rethinker.evaluation.verdicts import RowOutcome, Scored, outcome_of, without_verdict


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
            NotScoredError: no judge can score it here.
        """

    def scoring_by(self, model: str) -> str:
        """What a table calls the scoring by a judge's model."""
        return f"judge {model}"


def scoring_of(benchmark: Benchmark, judge: Judge | None, *, extracted: bool) -> str:
    """What a table calls the scoring: a judge counts only where the protocol asks one."""
    if not isinstance(benchmark, JudgedBenchmark):
        return benchmark.scoring_name
    if not benchmark.asks_judge(extracted=extracted):
        return "rules"
    return benchmark.scoring_by(judge.model) if judge else benchmark.scoring_name


def judged_score(
    benchmark: JudgedBenchmark, question: Question, response: str, judge: Judge, *, extracted: bool
) -> Scored:
    """One response scored as officially, or why it has no verdict."""
    try:
        verdict = benchmark.judged(question, response, judge, extracted=extracted)
    except NotScoredError as error:
        return without_verdict(RowOutcome.NOT_SCORED, str(error))
    except JudgeError as error:
        return without_verdict(RowOutcome.UNJUDGED, str(error))
    return Scored(verdict=verdict, outcome=outcome_of(verdict))


def judged_rows(
    benchmark: Benchmark,
    questions: Sequence[Question],
    responses: Mapping[str, str],
    judge: Judge,
    *,
    extracted: bool,
    advance: Callable[[], object] = lambda: None,
) -> list[tuple[Question, Scored]]:
    """Score all questions that have a response, in the questions' order.

    Raises:
        ConfigError: the benchmark is scored by rules alone.
        RethinkerError: the scorer environment of its rules is missing.
    """
    if not isinstance(benchmark, JudgedBenchmark):
        raise ConfigError(f"{benchmark.name} is scored by rules alone in this protocol; leave out --judge")
    benchmark.prepare()
    rows = [(question, responses[question.id]) for question in questions if question.id in responses]
    scored = judge_all(benchmark, rows, judge, extracted=extracted, advance=advance)
    return [(question, found) for (question, _), found in zip(rows, scored, strict=True)]


def judge_all(
    benchmark: JudgedBenchmark,
    rows: Sequence[tuple[Question, str]],
    judge: Judge,
    *,
    extracted: bool,
    threads: int = 8,
    advance: Callable[[], object] = lambda: None,
) -> Generator[Scored, None, None]:
    """Every row scored, in order; several are asked at a time.

    Args:
        rows: Questions and responses.
        advance: Called after each row.
    """

    def scored(row: tuple[Question, str]) -> Scored:
        return judged_score(benchmark, *row, judge, extracted=extracted)

    pool = ThreadPoolExecutor(threads, thread_name_prefix="judge")
    try:
        for each in pool.map(scored, rows):
            advance()
            yield each
    finally:
        pool.shutdown(cancel_futures=True)  # whoever stops waits for the questions under way alone
