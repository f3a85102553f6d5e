"""From scored answers to a benchmark's rows and result. What could not be asked counts as wrong, and is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rethinker.evaluation.answers import Answer, Key
from rethinker.evaluation.asking import VIDEO_MARK, Exam
from rethinker.evaluation.benchmark import Benchmark, Question, RowVerdict
from rethinker.evaluation.judge import Judge
from rethinker.evaluation.judged import JudgedBenchmark
from rethinker.evaluation.majority import majority
from rethinker.evaluation.pass_at_k import pass_at_k
from rethinker.evaluation.predictions import Predictions
from rethinker.evaluation.score_report import report
from rethinker.evaluation.scoring import summed_up
from rethinker.evaluation.verdicts import WITHOUT_VERDICT, RowOutcome, Scored

SCORED_APART = (RowOutcome.NO_ANSWER, RowOutcome.RANDOM, RowOutcome.TIMEOUT, RowOutcome.ERROR, *WITHOUT_VERDICT)
"""Outcomes of a first look that say nothing of whether its answer was right."""

ORACLE = "forced rethinking with an oracle: the first answer stays where it is right; an upper bound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One response to one question, scored.

    Attributes:
        tokens: Generated for the response that is scored.
        first_correct: Whether the answer before a second look was right; None where there was no such look or answer.
        forced: Whether the second look was.
        rethought: Whether there is one in the response, forced or of its own accord.
    """

    question: Question
    sample: int
    prompt: str
    response: str
    scored: Scored
    tokens: int
    first_correct: bool | None = None
    forced: bool = False
    rethought: bool = False

    def line(self) -> dict[str, Any]:
        """As it stands in `rows.jsonl`."""
        verdict = self.scored.verdict
        return {
            "id": self.question.id,
            "sample": self.sample,
            "prompt": self.prompt,
            "response": self.response,
            "extracted": verdict.extracted,
            "correct": verdict.correct,
            "score": verdict.score,
            "outcome": self.scored.outcome.value,
            "why": verdict.why,
            "tokens": self.tokens,
            "first_correct": self.first_correct,
            "rethought": self.rethought,
            "labels": {name: list(cells) for name, cells in self.question.labels.items()},
        }


def answered_row(
    question: Question, answer: Answer, scored: Scored, first: Scored | None, *, looked: bool, oracle: bool
) -> Row:
    """The row of an answer.

    Args:
        first: The verdict on what stands before its second look; None where no answer stands there.
        looked: Whether there is a second look.
        oracle: Keep the first response where it was right, and there was a forced look.
    """
    row = Row(
        question=question,
        sample=answer.sample,
        prompt=answer.prompt,
        response=answer.response,
        scored=scored,
        tokens=answer.tokens,
        first_correct=None if first is None or first.outcome in SCORED_APART else first.verdict.correct,
        forced=answer.first is not None,
        rethought=looked,
    )
    if not (oracle and answer.first is not None and answer.first_tokens is not None and row.first_correct):
        return row
    assert first is not None
    return replace(row, response=answer.first, tokens=answer.first_tokens, scored=first, forced=False, rethought=False)


def unasked_row(question: Question, sample: int, prompt: str, reason: str) -> Row:
    """The row of a question that could not be put to the model."""
    verdict = RowVerdict(extracted=None, score=0.0, why=f"it could not be asked: {reason}")
    scored = Scored(verdict=verdict, outcome=RowOutcome.UNASKED)
    return Row(question=question, sample=sample, prompt=prompt, response="", scored=scored, tokens=0)


def result(
    exam: Exam, rows: Sequence[Row], answers: Mapping[Key, Answer], *, samples: int, judge: Judge | None
) -> dict[str, Any]:
    """All that `result.json` says but the model, the settings and the seconds."""
    benchmark = exam.rule.benchmark()
    pairs = [(row.question, row.scored) for row in rows]
    judging = judge if isinstance(benchmark, JudgedBenchmark) else None
    score = summed_up(benchmark, pairs)
    written = report(
        exam.rule, score, Predictions(responses={}), rows=pairs, questions=len(exam.questions), judge=judging
    )
    if samples > 1:
        written["interval"] = None  # rows of one question are not independent; `rethinker compare` draws questions
    return written | {
        "style": exam.style,
        "samples": samples,
        "unasked": unasked(rows),
        "videos": sum(row.scored.outcome is RowOutcome.UNASKED and VIDEO_MARK in row.prompt for row in rows) // samples,
        **_of_several(benchmark, rows, samples),
        "rethinking": rethinking(rows),
        "tokens": {
            "generated": sum(answers[key].tokens for key in _keys(rows) if key in answers),
            "scored": sum(row.tokens for row in rows),
            "cut_off": sum(answers[key].finish == "length" for key in _keys(rows) if key in answers),
        },
    }


def unasked(rows: Sequence[Row]) -> dict[str, str]:
    """Questions that could not be put → why."""
    return {row.question.id: row.scored.verdict.why for row in rows if row.scored.outcome is RowOutcome.UNASKED}


def rethinking(rows: Sequence[Row]) -> dict[str, float | int | None]:
    """How many responses look twice, and what became of their first answers; shares are over these counts."""
    looked = [row for row in rows if row.rethought]
    moves = Counter(
        (row.first_correct, row.scored.outcome is RowOutcome.CORRECT) for row in looked if row.first_correct is not None
    )
    return {
        "responses": len(rows),
        "rethought": len(looked),
        "forced": sum(row.forced for row in rows),
        "ratio": len(looked) / len(rows) if rows else None,
        "wrong_to_right": moves[False, True],
        "right_to_wrong": moves[True, False],
        "stayed_right": moves[True, True],
        "stayed_wrong": moves[False, False],
        "without_first_answer": sum(row.first_correct is None for row in looked),
    }


def _keys(rows: Sequence[Row]) -> list[Key]:
    return [(row.question.id, row.sample) for row in rows]


def _of_several(benchmark: Benchmark, rows: Sequence[Row], samples: int) -> dict[str, Any]:
    """pass@k for every k, and the majority vote where there is one to take."""
    of: dict[str, list[Row]] = {}
    for row in rows:
        if row.scored.outcome not in WITHOUT_VERDICT:
            of.setdefault(row.question.id, []).append(row)
    whole = [group for group in of.values() if len(group) == samples]

    def mean(value: Callable[[list[Row]], float]) -> float | None:
        return benchmark.mean([(group[0].question, value(group)) for group in whole]) if whole else None

    def at(k: int) -> Callable[[list[Row]], float]:
        return lambda group: pass_at_k(samples, sum(row.scored.outcome is RowOutcome.CORRECT for row in group), k)

    passed = {str(k): mean(at(k)) for k in range(1, samples + 1)}
    return {"pass_at": passed, "majority": mean(vote) if samples > 1 else None}


def vote(rows: Sequence[Row]) -> float:
    """The score of the answer that most of a question's responses give, the earliest of those that tie."""
    return rows[majority([row.scored.verdict.extracted for row in rows])].scored.score
