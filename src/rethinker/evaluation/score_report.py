"""A score as JSON: what `rethinker score --json` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.judge import Judge
from rethinker.evaluation.judged import scoring_of
from rethinker.evaluation.predictions import Predictions
from rethinker.evaluation.scoring import Cell, Score, not_scored, unjudged
from rethinker.evaluation.verdicts import RowOutcome, Scored

EXAMPLES = 10
"""Rows named per kind of fault; all are counted."""


def report(
    rule: Rule,
    score: Score,
    predictions: Predictions,
    *,
    rows: Sequence[tuple[Question, Scored]],
    questions: int,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Accuracy, counts, every breakdown cell, outcomes, and examples of what was not scored."""
    overall, without = score.overall, unjudged(rows)
    return {
        "benchmark": rule.name,
        "setting": rule.setting,
        "protocol": rule.protocol,
        "scoring": scoring_of(rule.benchmark(), judge, extracted=rule.extracted),
        "extracted": rule.extracted,
        "judge": None if judge is None else {"model": judge.model, "url": judge.url, **asdict(judge.counts)},
        "accuracy": overall.accuracy if overall else None,
        "interval": overall.interval if overall else None,
        "fallback_interval": score.fallback,
        "counts": {
            "questions": questions,
            "predicted": overall.predicted if overall else 0,
            "correct": overall.correct if overall else 0,
            **{fault.value: len(faulty) for fault, faulty in predictions.faults.items()},
            **({"unjudged": len(without)} if judge else {}),
        },
        "outcomes": {outcome.value: score.outcomes[outcome] for outcome in RowOutcome},
        "not_scored": not_scored(rows),
        "breakdowns": _breakdowns(score.breakdowns),
        "examples": {
            **{
                fault.value: [asdict(each) for each in faulty[:EXAMPLES]]
                for fault, faulty in predictions.faults.items()
                if faulty
            },
            **({"unjudged": without[:EXAMPLES]} if without else {}),
        },
    }


def verdict_line(question: Question, scored: Scored) -> dict[str, Any]:
    """One row of a file of verdicts."""
    verdict = scored.verdict
    return {"id": question.id, "extracted": verdict.extracted, "correct": verdict.correct, "score": verdict.score}


def _breakdowns(breakdowns: Mapping[str, Mapping[str, Cell]]) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        breakdown: {
            name: {"accuracy": cell.accuracy, "correct": cell.correct, "predicted": cell.predicted}
            for name, cell in cells.items()
        }
        for breakdown, cells in breakdowns.items()
    }
