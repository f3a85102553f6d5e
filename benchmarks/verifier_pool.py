"""How fast the pool of verifiers scores, and what hanging verdicts cost it.

    python benchmarks/verifier_pool.py [--json OUT] [--quick] [--verdicts N] [--hanging SHARE]

First responses of all kinds that never hang, then as many of which some spin until the limit kills their worker. The
most that the second may take is 1.3 × (hangs × limit ÷ workers + the rest at the first's rate). Memory, handles,
threads and processes of the whole tree are read on the way; growth is of a line fitted over the last four fifths.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

import reporting
from reporting import Column
from rethinker.errors import ConfigError
from rethinker.rewards.pool import VerifierPool
from rethinker.types import Problem, Verdict

VERDICTS, QUICK_VERDICTS = 1_000_000, 20_000
LIMIT_SECONDS = 0.5
WORKERS = 2
AHEAD = 4096
"""Responses that wait at once, as many as a large step has."""

BETWEEN_READINGS = 5_000
"""Verdicts; a reading takes as long as a hundred of them."""

TO_REACH = {"rate": 1000.0, "ratio": 1.3}

FUNCTION = '''
from rethinker.rewards.verifiers import verify


def score(response, problem):
    """The rule, and a response that spins for ever."""
    while response == "spin":
        pass
    return verify(problem, response).reward
'''

COLUMNS = (
    Column(head="verdicts", key="verdicts", unit=1, digits=0),
    Column(head="of them hanging", key="hanging", unit=1, digits=0),
    Column(head="s", key="seconds", digits=1),
    Column(head="verdicts/s", key="rate", digits=0),
    Column(head="at least", key="rate_to_reach", digits=0),
    Column(head="÷ hangs × limit ÷ workers + rest", key="ratio", digits=2),
    Column(head="at most", key="ratio_to_reach", digits=1),
    Column(head="memory MB, growth %", key="memory_growth", unit=0.01, digits=2),
    Column(head="handles", key="handles"),
    Column(head="threads", key="threads"),
    Column(head="processes", key="processes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the process tree holds at one moment."""

    memory_bytes: int
    handles: int
    threads: int
    processes: int


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    made = reporting.parser(__doc__ or "", repeats=1, quick=f"{QUICK_VERDICTS:,} verdicts")
    made.add_argument("--verdicts", type=int)
    made.add_argument("--hanging", type=float, default=0.01, metavar="SHARE")
    arguments = reporting.parsed(made, argv)
    verdicts = arguments.verdicts or (QUICK_VERDICTS if arguments.quick else VERDICTS)
    if not 0 < arguments.hanging < 1:
        raise ConfigError(f"--hanging={arguments.hanging} is no share; give one between 0 and 1, such as 0.01")
    plain = measured(verdicts, every=0)
    hanging = measured(verdicts, every=round(1 / arguments.hanging))
    report = reporting.head("verifier_pool", arguments) | {
        "limit_seconds": LIMIT_SECONDS,
        "workers": WORKERS,
        "rows": [plain | {"rate_to_reach": TO_REACH["rate"]}, beside(hanging, plain)],
    }
    reporting.write(report, arguments.json)
    print(reporting.table(COLUMNS, report["rows"]), flush=True)


def beside(hanging: dict[str, object], plain: dict[str, object]) -> dict[str, object]:
    """The row with hangs, with how its time stands to what hangs and the rest would take one by one."""
    hangs, verdicts = hanging["hanging"], hanging["verdicts"]
    floor = hangs * LIMIT_SECONDS / WORKERS + (verdicts - hangs) / plain["rate"]
    return hanging | {"ratio": hanging["seconds"] / floor, "ratio_to_reach": TO_REACH["ratio"]}


def measured(verdicts: int, *, every: int) -> dict[str, object]:
    """Score so many responses, every so-manieth of which spins (0: none); every verdict is checked."""
    outcomes: Counter[str] = Counter()
    readings: list[Reading] = []
    with pool() as scorer:
        started = time.perf_counter()
        for number, (verdict, right) in enumerate(scored(scorer, verdicts, every=every)):
            assert verdict.outcome.value == right, (number, verdict, right)
            outcomes[verdict.outcome.value] += 1
            if number % BETWEEN_READINGS == 0:
                readings.append(reading())
        seconds = time.perf_counter() - started
    settled = readings[len(readings) // 5 :]
    return {
        "verdicts": verdicts,
        "hanging": outcomes["timeout"],
        "seconds": seconds,
        "rate": verdicts / seconds,
        "outcomes": dict(outcomes),
        "memory_growth": growth([each.memory_bytes for each in settled]),
        "handles": spread([each.handles for each in settled]),
        "threads": spread([each.threads for each in settled]),
        "processes": spread([each.processes for each in settled]),
        "first": asdict(settled[0]),
        "last": asdict(settled[-1]),
    }


def scored(scorer: VerifierPool, verdicts: int, *, every: int) -> Iterator[tuple[Verdict, str]]:
    """Verdicts in the order asked, each with the outcome it must have; only some wait at a time."""
    waiting: deque[tuple[Future[Verdict], str]] = deque()
    for number in range(verdicts):
        problem, response, right = asked(number, spins=every > 0 and number % every == every // 2)
        waiting.append((scorer.submit(problem, response), right))
        if len(waiting) >= AHEAD:
            future, wanted = waiting.popleft()
            yield future.result(), wanted
    for future, wanted in waiting:
        yield future.result(), wanted


def asked(number: int, *, spins: bool) -> tuple[Problem, str, str]:
    """A problem, a response to it, and the outcome."""
    right = number % 3 > 0
    answer = number if right else number + 1
    thought = f"There are {number} of them, as the picture shows. " * 4
    problem = Problem(id=str(number), images=(), question="How many?", answer=str(number), verifier="number")
    if spins:
        return problem, "spin", "timeout"
    return problem, f"{thought}\\boxed{{{answer}}}", "ok" if right else "wrong"


@contextmanager
def pool() -> Iterator[VerifierPool]:
    """A pool with the function above."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "spinning.py").write_text(FUNCTION, encoding="utf-8")
        os.chdir(folder)
        try:
            made = VerifierPool(
                workers=WORKERS, timeout_seconds=LIMIT_SECONDS, memory_bytes=1 << 30, function="spinning:score"
            )
        finally:
            os.chdir(before)
        with made:
            yield made


def reading() -> Reading:
    """Memory (own pages), open files, threads and processes of this process and its workers."""
    found = [_of(process) for process in (psutil.Process(), *psutil.Process().children(recursive=True))]
    known = [each for each in found if each is not None]
    return Reading(
        memory_bytes=sum(each.memory_bytes for each in known),
        handles=sum(each.handles for each in known),
        threads=sum(each.threads for each in known),
        processes=len(known),
    )


def _of(process: psutil.Process) -> Reading | None:
    """None of one that has just ended."""
    try:
        with process.oneshot():
            return Reading(
                memory_bytes=process.memory_full_info().uss,
                handles=process.num_fds(),
                threads=process.num_threads(),
                processes=1,
            )
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return None


def growth(values: Sequence[float]) -> float:
    """How much a line fitted to the values rises from its first to its last, as a share of their mean."""
    if len(values) < 2:
        return 0.0
    slope = statistics.linear_regression(range(len(values)), values).slope
    return slope * (len(values) - 1) / statistics.fmean(values)


def spread(values: Sequence[int]) -> str:
    """The least and the most seen."""
    return f"{min(values)} to {max(values)}" if min(values) < max(values) else str(min(values))


if __name__ == "__main__":
    sys.exit(main())
