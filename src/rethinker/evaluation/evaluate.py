"""One benchmark, from questions to a result: ask what is not answered yet, score as answers come, sum up.

The engine is whatever the caller has, with the weights that it holds: a command's own, or a run's in the middle of
training. Everything is kept in a folder, and the same call again goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rethinker.data.tables import json_bytes
from rethinker.errors import DatasetError
from rethinker.evaluation.answering import Answerer, Unasked
from rethinker.evaluation.answers import Answer, AnswerFile, Key, refuse_other_prompts
from rethinker.evaluation.asking import Asked, Exam, asked
from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.judge import Judge
from rethinker.evaluation.judged import JudgedBenchmark, judged_score
from rethinker.evaluation.scoring import RowScorer
from rethinker.evaluation.summing_up import Row, answered_row, result, unasked_row
from rethinker.evaluation.verdicts import Scored
from rethinker.rewards.extract import final_answer
from rethinker.rollout.second_looks import Marker
from rethinker.runs.files import write_atomically

JUDGE_THREADS = 8


class Scorer(Protocol):
    """Scores responses somewhere else, while others are still sampled."""

    def submit(self, question: Question, response: str) -> Future[Scored]:
        """Queue one response; the future always resolves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        rows: One per question and sample, in the questions' order.
        result: As it stands in `result.json`.
        dropped: Half-written answers of a killed run.
    """

    rows: Sequence[Row]
    result: Mapping[str, Any]
    dropped: int


def evaluate(
    exam: Exam,
    answerer: Answerer,
    folder: Path,
    *,
    about: Mapping[str, Any],
    marker: Marker,
    workers: int,
    judge: Judge | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Evaluated:
    """Answer and score a benchmark, and write its answers, rows and result.

    Args:
        folder: Of this benchmark; answers that stand there are not asked for again.
        about: What the result says besides (the model, the settings).
        advance: Called after each answer.

    Raises:
        DatasetError: the folder cannot be written or holds other answers, or the authors withhold the golds.
        RethinkerError: the rule's scorer environment is missing.
    """
    started, generated = time.perf_counter(), answerer.generating_seconds
    refuse_withheld(exam)
    questions = asked(exam)
    samples = answerer.settings.samples
    keys = [(each.question.id, sample) for each in questions for sample in range(samples)]
    with AnswerFile(folder / "answers.jsonl") as file, _scorer(exam.rule, workers, judge) as scorer:
        refuse_other_prompts(
            file.path, list(file.answers.values()), {each.question.id: each.text for each in questions}
        )
        before = len(file.answers)
        marking = _Marking(exam, scorer, marker)
        for answer in [file.answers[key] for key in keys if key in file.answers]:
            marking.take(answer)
        reasons: dict[str, str] = {}
        for given in answerer.answer(_left(questions, file.answers, samples)):
            if isinstance(given, Unasked):
                reasons[given.id] = given.reason
            else:
                file.append(given)
                marking.take(given)
                advance()
        waited = time.perf_counter()
        rows = marking.rows(questions, file.answers, reasons, samples, oracle=answerer.settings.rethink == "oracle")
        waited = time.perf_counter() - waited
        file.put_in_order(keys)
        found = dict(about) | result(exam, rows, file.answers, samples=samples, judge=judge)
        generation = answerer.generating_seconds - generated
        rest = time.perf_counter() - started - generation - waited
        seconds = {"answers": len(file.answers) - before, "generation": generation, "scoring": waited, "rest": rest}
        found["seconds"] = seconds
        write_atomically(folder / "rows.jsonl", b"".join(json_bytes(row.line()) + b"\n" for row in rows))
        write_atomically(folder / "result.json", json_bytes(found, indent=2) + b"\n")
        return Evaluated(rows=rows, result=found, dropped=file.dropped)


def refuse_withheld(exam: Exam) -> None:
    """See that questions have different ids, and golds to be scored by.

    Raises:
        DatasetError: one has not.
    """
    ids = {question.id for question in exam.questions}
    if len(ids) < len(exam.questions):
        raise DatasetError(
            f"{exam.name}: {len(exam.questions):,} questions have {len(ids):,} different ids; give one split"
        )
    withheld = [question.id for question in exam.questions if question.answer is None]
    if withheld:
        raise DatasetError(
            f"{exam.name}: the authors withhold the answers of {len(withheld):,} questions, such as {withheld[0]}; "
            "evaluate the split whose answers are published"
        )


class _Marking:
    """Has answers scored as they come, and what stands before their second looks.

    Args:
        marker: Where a response looks again of its own accord.
    """

    def __init__(self, exam: Exam, scorer: Scorer, marker: Marker) -> None:
        self._questions = {question.id: question for question in exam.questions}
        self._scorer = scorer
        self._marker = marker
        self._scored: dict[Key, tuple[Future[Scored], Future[Scored] | None, bool]] = {}

    def take(self, answer: Answer) -> None:
        """Queue an answer."""
        question = self._questions[answer.id]
        before = answer.first if answer.first is not None else self._marker.before(answer.response)
        first = None
        answered = before is not None and (answer.first is not None or final_answer(before) is not None)
        if before is not None and answered:
            first = self._scorer.submit(question, before)
        self._scored[answer.key] = (self._scorer.submit(question, answer.response), first, before is not None)

    def rows(
        self,
        questions: Sequence[Asked],
        answers: Mapping[Key, Answer],
        reasons: Mapping[str, str],
        samples: int,
        *,
        oracle: bool,
    ) -> list[Row]:
        """Wait for all verdicts; rows in the questions' order."""
        found = []
        for each in questions:
            for sample in range(samples):
                answer = answers.get((each.question.id, sample))
                if answer is None:
                    found.append(unasked_row(each.question, sample, each.text, reasons[each.question.id]))
                    continue
                final, first, looked = self._scored[answer.key]
                scored_first = first.result() if first is not None else None
                found.append(
                    answered_row(each.question, answer, final.result(), scored_first, looked=looked, oracle=oracle)
                )
        return found


class _RuleScorer:
    """The benchmark's rule in workers, which start while the first questions are asked."""

    def __init__(self, rule: Rule, workers: int) -> None:
        starter = ThreadPoolExecutor(1, thread_name_prefix="rules")
        self._started = starter.submit(lambda: RowScorer(rule, workers=workers))
        starter.shutdown(wait=False)

    def submit(self, question: Question, response: str) -> Future[Scored]:
        """Queue one response.

        Raises:
            RethinkerError: the workers cannot be started.
        """
        return self._started.result().submit(question, response)

    def close(self) -> None:
        """Kill the workers; whoever could not be started has said so to `submit`."""
        if self._started.exception() is None:
            self._started.result().__exit__()


class _JudgeScorer:
    """Asks a judge, several rows at a time."""

    def __init__(self, benchmark: JudgedBenchmark, judge: Judge) -> None:
        benchmark.prepare()
        self._benchmark = benchmark
        self._judge = judge
        self._threads = ThreadPoolExecutor(JUDGE_THREADS, thread_name_prefix="judge")

    def submit(self, question: Question, response: str) -> Future[Scored]:
        """Queue one response; one that the judge leaves without a verdict says why."""
        return self._threads.submit(judged_score, self._benchmark, question, response, self._judge, extracted=False)

    def close(self) -> None:
        """Wait for the questions under way alone."""
        self._threads.shutdown(cancel_futures=True)


@contextmanager
def _scorer(rule: Rule, workers: int, judge: Judge | None) -> Iterator[Scorer]:
    """The judge where there is one and the protocol asks it, else the rules."""
    benchmark = rule.benchmark()
    if judge is None or not isinstance(benchmark, JudgedBenchmark):
        rules = _RuleScorer(rule, workers)
        try:
            yield rules
        finally:
            rules.close()
        return
    asking = _JudgeScorer(benchmark, judge)
    try:
        yield asking
    finally:
        asking.close()


def _left(questions: Sequence[Asked], answers: Mapping[Key, Answer], samples: int) -> Iterator[tuple[Asked, list[int]]]:
    """Questions with those of their samples that are not answered."""
    for each in questions:
        missing = [sample for sample in range(samples) if (each.question.id, sample) not in answers]
        if missing:
            yield each, missing
