"""How fast given predictions are scored: `python -m benchmarks.scoring_speed [--json OUT]`.

MATH-Vision's 3,040 rows beside the official rule run row by row: one process, latex2sympy for every comparison that
text does not decide, nothing remembered. MMMU-Pro's 1,730 rows where its rule is there. Peak memory is of the process
and its workers, for the file once and ten times over. Needs the given predictions (`../shared/assets`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event, Thread

import psutil
from scripts.parity import GivenFile
from scripts.parity.catalogue import GIVEN

from rethinker.cores import usable_cores
from rethinker.evaluation.benchmark import Question
from rethinker.evaluation.scorers import checked_folder
from rethinker.evaluation.scoring import RowScorer, score_rows

FILES = {"mathvision": "Gemini-Pro-CoT", "mmmu_pro": "gpt4o_HEAD_standard_10_options__cot"}
"""Benchmark → the file measured: the one with the longest responses."""

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


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--repeats", type=int, default=10, help="copies of the file for the larger memory (default 10)")
    parsed = parser.parse_args()
    result: dict[str, object] = {"cores": usable_cores()}
    for benchmark, name in FILES.items():
        if benchmark in GIVEN:
            file = next(file for file in GIVEN[benchmark]() if file.name == name)
            once, often = measured(file, 1), measured(file, parsed.repeats)
            result[benchmark] = {"file": name, "once": asdict(once), f"times_{parsed.repeats}": asdict(often)}
            print(f"{benchmark}  {once.rows:,} rows  {once.seconds:.1f} s  {once.peak_bytes / 1e6:.0f} MB")
            print(f"{benchmark}  {often.rows:,} rows  {often.seconds:.1f} s  {often.peak_bytes / 1e6:.0f} MB")
    result["row_by_row"] = baseline = row_by_row(FILES["mathvision"])
    print(f"mathvision, the official rule row by row  {baseline['seconds']:.1f} s")
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


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
