"""Whether a run that is killed again and again ends as one that never was: 50 times SIGKILL, at random moments.

    python benchmarks/kills.py [--json OUT] [--quick] [--kills N] [--seed N]

The tiny recipe with little to do. Kills are aimed in turn at the start and at every part of a step, at a random moment
of it; what was hit is read afterwards from what the run said of itself. The run is resumed after each. In the end its
metrics (times and memory apart), every file of its record and its weights must be those of an unbroken run, to the
byte, and nothing may be left of the processes that were killed: no process, no temporary file, no lock.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

import reporting
from killable import PARTS, START
from ray_runs import QUIET, RECIPE, ROOT
from reporting import Column
from rethinker.runs.checkpoints import latest_checkpoint, verified
from rethinker.runs.lock import FolderLock
from rethinker.runs.rollouts import read_rollouts
from rethinker.runs.trackers import read_metrics

KILLS, QUICK = 50, 3
STEPS_A_KILL = 12
"""More than a run gets on between two kills."""
PATIENCE = 900.0
"""Seconds before a run that hangs is given up."""
LOOK = 0.0002
MARK = "RETHINKER_KILLS"
"""In the environment of every process of a run, by which those that outlive it are found."""
AIMS = (START, *(part for part in PARTS if part != "evaluate"))
SMALL = (
    "train.updates_per_episode=2",
    "sampler.queries=2",
    "sampler.group_size=4",
    "sampler.first.max_tokens=24",
    "rethink.second_look.max_tokens=16",
    "evaluation.every=6",
    "evaluation.validation_problems=4",
    "evaluation.max_tokens=24",
    "checkpoints.every=2",
)
COLUMNS = (
    Column(head="part of a step", key="part"),
    Column(head="aimed at", key="aimed"),
    Column(head="hit", key="hit"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One kill.

    Attributes:
        aim: The part it was meant for.
        hit: The part the run was in.
        seconds: After the part began.
        step: Steps that were recorded then.
        unfinished: Names of what lay half written in the run folder.
    """

    aim: str
    hit: str
    seconds: float
    step: int
    unfinished: list[str]


class Victim:
    """A run in a process of its own; leaving the block waits for every process it started.

    Args:
        place: Where its output, its temporary files and the part it is in go.
        arguments: Of `rethinker`.
    """

    def __init__(self, place: Path, arguments: Sequence[str | Path]) -> None:
        self.mark = secrets.token_hex(8)
        self._part = place / "part.txt"
        self._said = place / "said.txt"
        self._part.unlink(missing_ok=True)
        temporary = place / "tmp"
        temporary.mkdir(exist_ok=True)
        path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "benchmarks" / "killable.py"), self._part, *arguments],
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
                | {MARK: self.mark},
                stdout=said,
                stderr=said,
            )

    def part(self) -> tuple[str, int]:
        """The part of a step it is in, and how many it has entered."""
        words = self._part.read_text().split() if self._part.exists() else []
        return (words[0], int(words[1])) if len(words) == 2 else (START, 0)

    def meet(self, part: str, times: int) -> None:
        """Wait until it has entered a part so many times.

        Raises:
            RuntimeError: it ended before.
        """
        seen: set[int] = set()

        def met() -> bool:
            now, number = self.part()
            if now == part:
                seen.add(number)
            return len(seen) >= times

        self.wait(met)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Look until a condition holds.

        Raises:
            RuntimeError: it ended before, or never got there.
        """
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the run did not get there: {self._said.read_text()[-3000:]}")
            time.sleep(LOOK)

    def kill(self) -> None:
        """SIGKILL, and wait for what else it started."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.process.returncode != -signal.SIGKILL:
            raise RuntimeError(f"it ended before it was killed: {self._said.read_text()[-3000:]}")

    def finish(self) -> None:
        """Let it run to its end.

        Raises:
            RuntimeError: it failed.
        """
        if self.process.wait(PATIENCE) != 0:
            raise RuntimeError(f"code {self.process.returncode}: {self._said.read_text()[-3000:]}")

    def orphans(self, patience: float = 30.0) -> list[str]:
        """Processes of it that outlive it, which are given some seconds to see that it has gone."""
        deadline = time.monotonic() + patience
        while (left := _marked(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left


def _marked(mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline())[:200])
        except psutil.Error:
            continue
    return found


def unbroken(place: Path, *, steps: int) -> Path:
    """A run that nobody kills."""
    run = place / "unbroken"
    victim = Victim(place, _arguments(run, steps))
    victim.finish()
    return run


def _arguments(run: Path, steps: int) -> list[str | Path]:
    if (run / "config.yaml").exists():
        return ["train", "--resume", run]
    return ["train", RECIPE, f"run.dir={run}", *QUIET, *SMALL, f"train.steps={steps}"]


def killed(place: Path, *, kills: int, steps: int, seed: int) -> tuple[Path, list[Kill], list[str]]:
    """A run killed so many times and then finished: its folder, the kills, and what outlived it."""
    run, moments = place / "killed", random.Random(seed)
    aims = [AIMS[number % len(AIMS)] for number in range(kills)]
    moments.shuffle(aims)
    done: list[Kill] = []
    orphans: list[str] = []
    for aim in aims:
        victim = Victim(place, _arguments(run, steps))
        done.append(_kill(victim, run, aim, moments))
        print(len(done), done[-1], flush=True)
        orphans += victim.orphans()
    victim = Victim(place, _arguments(run, steps))
    victim.finish()
    return run, done, orphans + victim.orphans()


def _kill(victim: Victim, run: Path, aim: str, moments: random.Random) -> Kill:
    within, times = moments.random(), moments.randint(2, 5)
    victim.meet(aim, 1 if aim == START else times)
    seconds = within * _usual(run, aim)
    time.sleep(seconds)
    victim.kill()
    step = len(_metrics(run))
    return Kill(aim=aim, hit=victim.part()[0], seconds=seconds, step=step, unfinished=unfinished(run))


def _usual(run: Path, part: str) -> float:
    """Seconds a part takes, as the run has recorded it; a guess where it has not."""
    if part == START:
        return 6.0
    took = [row.get(f"time/{part}") or 0.0 for row in read_metrics(run / "metrics.jsonl")] if _metrics(run) else []
    spent = sorted(seconds for seconds in took if seconds > 0)
    return float(spent[len(spent) // 2]) if spent else 0.02


def _metrics(run: Path) -> list[dict[str, Any]]:
    path = run / "metrics.jsonl"
    return [
        {name: value for name, value in row.items() if not name.startswith(("time/", "system/"))}
        for row in (read_metrics(path) if path.exists() else ())
    ]


def unfinished(run: Path) -> list[str]:
    """What lies half written in a run folder."""
    return sorted(path.name for path in run.rglob("*") if ".tmp-" in path.name or ".replaced" in path.name)


def differences(run: Path, whole: Path, *, steps: int) -> list[str]:
    """What distinguishes a run from the one that was not broken, and what it left behind."""
    found = []
    if _metrics(run) != _metrics(whole):
        found.append("metrics")
    if [row["step"] for row in _metrics(run)] != list(range(1, steps + 1)):
        found.append("steps of the metrics")
    here, there = _files(run / "rollouts"), _files(whole / "rollouts")
    found += [f"rollouts/{name}" for name in sorted(here.keys() | there.keys()) if here.get(name) != there.get(name)]
    last = [latest_checkpoint(each / "checkpoints") for each in (run, whole)]
    if None in last or last[0].name != last[1].name or _files(last[0] / "hf") != _files(last[1] / "hf"):
        found.append("weights")
    if _achieved(run) != _achieved(whole):
        found.append("summary")
    return found


def left_behind(run: Path, place: Path) -> list[str]:
    """Temporary files, and a lock that nobody should hold; the compiler's cache is there after every run."""
    caches = ("torchinductor_",)
    temporary = (path.name for path in (place / "tmp").iterdir() if not path.name.startswith(caches))
    left = [*unfinished(run), *(f"tmp/{name}" for name in temporary)]
    FolderLock(run).release()  # raises where somebody holds it
    return left


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _achieved(run: Path) -> dict[str, Any]:
    found = json.loads((run / "summary.json").read_text())
    return {name: value for name, value in found.items() if name not in ("seconds", "peak_memory_bytes")}


def survived(place: Path, *, kills: int, seed: int) -> dict[str, Any]:
    """Everything that a result says of so many kills; nothing is raised for what differs."""
    print(f"KILLS_SEED={seed}", flush=True)
    steps = STEPS_A_KILL * kills + 4
    whole = unbroken(place, steps=steps)
    run, done, orphans = killed(place, kills=kills, steps=steps, seed=seed)
    rows = sum(1 for path in sorted((run / "rollouts").glob("*.gz")) for _ in read_rollouts(path))
    verified(latest_checkpoint(run / "checkpoints") or run)
    return {
        "rows": _counts(done),
        "details": {
            "seed": seed,
            "steps": steps,
            "kills": [asdict(kill) for kill in done],
            "rollouts": rows,
            "differences": differences(run, whole, steps=steps),
            "orphans": orphans,
            "left_behind": left_behind(run, place),
        },
    }


def _counts(kills: Sequence[Kill]) -> list[dict[str, Any]]:
    aimed, hit = Counter(kill.aim for kill in kills), Counter(kill.hit for kill in kills)
    return [{"part": part, "aimed": aimed[part], "hit": hit[part]} for part in dict.fromkeys([*AIMS, *hit])]


def main(argv: Sequence[str] | None = None) -> None:
    """Kill, compare, print the table, and write it if asked."""
    parser = reporting.parser(__doc__.splitlines()[0], repeats=1, quick=f"{QUICK} kills")
    parser.add_argument("--kills", type=int, help=f"how many ({KILLS}; quick: {QUICK})")
    parser.add_argument("--seed", type=int, help="of the moments; drawn where not given, and written down")
    arguments = reporting.parsed(parser, argv)
    arguments.threads = 1
    kills = arguments.kills or (QUICK if arguments.quick else KILLS)
    seed = secrets.randbelow(2**31) if arguments.seed is None else arguments.seed
    report = reporting.head("kills", arguments)
    with tempfile.TemporaryDirectory() as folder:
        report |= survived(Path(folder), kills=kills, seed=seed)
    details = report["details"]
    print(reporting.table(COLUMNS, report["rows"]), flush=True)
    print({name: details[name] for name in ("seed", "differences", "orphans", "left_behind")}, flush=True)
    reporting.write(report, arguments.json)


if __name__ == "__main__":
    main()
