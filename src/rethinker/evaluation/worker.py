"""A scoring worker: `python -m rethinker.evaluation.worker SETTINGS`, started by the pool, never by hand.

It holds one benchmark's rule, with its scorer environment's packages first on the path. Questions come pickled from the
pool, which it trusts; verdicts go back as JSON, so that nothing an answer can do reaches the process that asked.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Sequence
from dataclasses import replace

from rethinker.errors import RethinkerError
from rethinker.evaluation.benchmark import NotScoredError, Question, RowVerdict
from rethinker.evaluation.benchmarks.catalogue import Rule
from rethinker.evaluation.verdicts import RowOutcome, Scored, outcome_of, without_verdict
from rethinker.rewards.serving import (
    become_worker,
    claim_control,
    cpu_seconds,
    die_with,
    limit_memory,
    send,
    work_alone,
)
from rethinker.rewards.wire import OUT_OF_MEMORY, GarbledError, Message, pack, read_frame

Row = tuple[Question, str]
"""A question and the response to it."""


def main() -> None:
    """Serve until the pool closes its end."""
    settings = json.loads(sys.argv[1])
    die_with(settings["parent"])
    control = claim_control()
    rule = Rule(**settings["rule"])
    benchmark = rule.benchmark()
    try:
        benchmark.prepare()
    except (ImportError, RethinkerError) as error:
        _, outbox = work_alone(control)
        send(outbox, {"state": "failed", "why": f"{type(error).__name__}: {error}"})
        return
    inbox, outbox = become_worker(control)
    limit_memory(settings["memory_bytes"])
    send(outbox, {"state": "ready"})
    while (frame := read_frame(inbox)) is not None:
        for index, (question, response) in enumerate(pickle.loads(frame[1])):
            try:
                with cpu_seconds(settings["row_seconds"]):
                    verdict = benchmark.verdict(question, response, extracted=rule.extracted)
                scored = Scored(verdict=verdict, outcome=outcome_of(verdict))
            except NotScoredError as error:
                scored = without_verdict(RowOutcome.NOT_SCORED, str(error))
            except MemoryError:
                os._exit(OUT_OF_MEMORY)  # what the rule still holds would starve every later response
            except Exception as error:  # noqa: BLE001 (a response that breaks a rule is an outcome, not a crash)
                scored = failed(RowOutcome.ERROR, f"{type(error).__name__}: {error!s:.500}")
            send(outbox, {"index": index, "verdict": encoded(scored)})


def failed(outcome: RowOutcome, why: str) -> Scored:
    """What stands for a row that was not scored: wrong, and counted."""
    return Scored(verdict=RowVerdict(extracted=None, score=0.0, why=why), outcome=outcome)


def pack_rows(rows: Sequence[Row]) -> bytes:
    """Frame rows; images stay at home."""
    return pack({}, [pickle.dumps([(replace(question, images=()), response) for question, response in rows])])


def encoded(scored: Scored) -> Message:
    """A scored row as JSON values."""
    verdict = scored.verdict
    return {"outcome": scored.outcome, "extracted": verdict.extracted, "score": verdict.score, "why": verdict.why}


def decoded(record: Message) -> Scored:
    """Undo `encoded`.

    Raises:
        GarbledError: the record is no scored row.
    """
    try:
        verdict = RowVerdict(extracted=record["extracted"], score=record["score"], why=record["why"])
        return Scored(verdict=verdict, outcome=RowOutcome(record["outcome"]))
    except (KeyError, ValueError) as error:
        raise GarbledError(f"{str(record)[:80]} is not a scored row") from error


if __name__ == "__main__":
    main()
