"""How fast given predictions are scored: `python benchmarks/scoring_speed.py [--json OUT] [--repeats N]`.

MATH-Vision's 3,040 rows beside the official rule run row by row: one process, latex2sympy for every comparison that
text does not decide, nothing remembered. MMMU-Pro's 1,730 rows where its rule is there. Peak memory is of the process
and its workers, for the file once and ten times over. Needs the given predictions (`../shared/assets`).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from threading import Event, Thread
from typing import Any

import psutil
from scripts.parity import GivenFile
from scripts.parity.catalogue import GIVEN

import reporting
from rethinker.cores import usable_cores
from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.scorers import checked_folder
from rethinker.evaluation.scoring import RowScorer, score_rows

FILES = {"mathvision": "Gemini-Pro-CoT", "mmmu_pro": "gpt4o_HEAD_standard_10_options__cot"}
"""Benchmark → the file measured: the one with the longest responses."""

TIMES = 10
TO_REACH = {"mathvision": {"ratio_to_reach": 0.5}, "mmmu_pro": {"seconds_to_reach": 3.0}}

COLUMNS = (
    reporting.Column(head="benchmark", key="benchmark"),
    reporting.Column(head="rows", key="rows", digits=0),
    reporting.Column(head="s", key="seconds", digits=1),
    reporting.Column(head="to reach, s", key="seconds_to_reach"),
    reporting.Column(head="official rule, s", key="official_seconds", digits=1),
    reporting.Column(head="ratio", key="ratio", digits=2),
    reporting.Column(head="to reach", key="ratio_to_reach"),
    reporting.Column(head="peak MB", key="peak_bytes", unit=1e6, digits=0),
    reporting.Column(head="ten times over, MB", key="tenfold_peak_bytes", unit=1e6, digits=0),
)

ROW_BY_ROW = r"""
import json, sys, time
from pathlib import Path
from scripts.parity.catalogue import GIVEN
from rethinker.evaluation import latex_values as values
from rethinker.evaluation.benchmarks import mathvision

values.sympy.solve = values.sympy.solvers.solve
values._PLAIN = values._LETTER = values.re.compile(r"(?!)")
values.LONGEST_KEPT = -1

def equal(gold, answer):
    gold, answer = gold.lower(), answer.lower()
    if not gold.replace(" ", "") or not answer.replace(" ", ""):
        return False, ""
    if gold.strip() == answer.strip():
        return True, ""
    gold, answer = mathvision._tuple(gold), mathvision._tuple(answer)
    if gold == answer:
        return True, ""
    given = values.two_decimals(answer)
    return given is not None and given == values.two_decimals(gold), ""

mathvision.equal = equal
[file] = [file for file in GIVEN["mathvision"]() if file.name == sys.argv[1]]
rule = mathvision.MathVision()
questions, responses = rule.read(file.problems), file.responses()
rule.prepare()
started = time.perf_counter()
correct = sum(rule.verdict(each, responses[each.id], extracted=False).score for each in questions)
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "cpu_seconds": time.process_time(), "correct": int(correct)}))
"""
"""The official rule as it is run: no shortcut, nothing kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One scoring of a file.

    Attributes:
        seconds: From start to last verdict, the workers' start included.
        peak_bytes: Most resident memory of the process and its workers.
    """

    rows: int
    correct: int
    seconds: float
    peak_bytes: int


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    arguments = reporting.parsed(reporting.parser(__doc__ or "", repeats=3, quick="one round"), argv)
    files = {benchmark: given(benchmark, name) for benchmark, name in FILES.items() if benchmark in GIVEN}
    rounds = [one_round(files) for _ in range(arguments.repeats)]
    report = reporting.head("scoring_speed", arguments) | {"rows": summary(files, rounds), "rounds": rounds}
    reporting.write(report, arguments.json)
    print(reporting.table(COLUMNS, report["rows"]), flush=True)


def given(benchmark: str, name: str) -> GivenFile:
    """One of the given predictions."""
    return next(file for file in GIVEN[benchmark]() if file.name == name)


def one_round(files: Mapping[str, GivenFile]) -> dict[str, Any]:
    """Each file once, MATH-Vision's ten times over, and the official rule."""
    return {
        "ours": {benchmark: asdict(measured(file, 1)) for benchmark, file in files.items()},
        "tenfold": asdict(measured(files["mathvision"], TIMES)),
        "official": row_by_row(FILES["mathvision"]),
    }


def summary(files: Mapping[str, GivenFile], rounds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Medians, and the median of the paired ratios."""
    rows = []
    for benchmark in files:
        ours = [each["ours"][benchmark] for each in rounds]
        row = {
            "benchmark": benchmark,
            "rows": ours[0]["rows"],
            "seconds": statistics.median(each["seconds"] for each in ours),
            "peak_bytes": max(each["peak_bytes"] for each in ours),
        }
        if benchmark == "mathvision":
            official = [each["official"]["seconds"] for each in rounds]
            row["official_seconds"] = statistics.median(official)
            row["ratio"] = statistics.median(a["seconds"] / b for a, b in zip(ours, official, strict=True))
            row["tenfold_peak_bytes"] = max(each["tenfold"]["peak_bytes"] for each in rounds)
        rows.append(row | TO_REACH[benchmark])
    return rows


def measured(file: GivenFile, times: int) -> Measured:
    """Score a file's questions some times over, as a command does."""
    questions, responses = copies(file, times)
    with Peak() as peak:
        started = time.perf_counter()
        with RowScorer(file.rule, workers=usable_cores()) as scorer:
            rows = score_rows(scorer, questions, responses)
        seconds = time.perf_counter() - started
    correct = sum(scored.verdict.correct is True for _, scored in rows)
    return Measured(rows=len(rows), correct=correct, seconds=seconds, peak_bytes=peak.bytes)


def copies(file: GivenFile, times: int) -> tuple[list[Question], Mapping[str, str]]:
    """Questions and responses, each copy under ids of its own."""
    questions, responses = file.rule.benchmark().read(file.problems), file.responses()
    names = range(times)
    return (
        [replace(question, id=f"{name}/{question.id}") for name in names for question in questions],
        {f"{name}/{each}": response for name in names for each, response in responses.items()},
    )


def row_by_row(model: str) -> dict[str, float]:
    """The official rule in one process."""
    path = os.pathsep.join([str(checked_folder("latex2sympy")), *(entry for entry in sys.path if entry), os.getcwd()])
    command = [sys.executable, "-c", ROW_BY_ROW, model]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


class Peak:
    """Watches the resident memory of this process and its children."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *ended: object) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._ended.wait(0.1):
            total = me.memory_info().rss
            for child in me.children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.bytes = max(self.bytes, total)


if __name__ == "__main__":
    main()
