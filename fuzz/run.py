"""Fuzz: `python -m fuzz.run TARGET|all --seconds N [--executions N] [--json docs/results/fuzz.json]`.

A target runs in a process of its own, a minute at a time, so that nothing piles up and little is lost with one that
dies. Counts add up in the result file. What widened the coverage is boiled down into `fuzz/corpus/TARGET`, unless
`--no-save`; `--replay` only tries what lies there. Ends with status 1 where anything was found.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from fuzz.targets import CORPUS, NAMES

ROOT = Path(__file__).parents[1]
FINDINGS = Path(__file__).parent / "findings"
CHUNK_S = 60
MOST_KEPT, LARGEST_KEPT = 80, 1500
"""Files of a target's corpus, and bytes of one: it is in the repository."""

FOUND = "found-"
"""How the names begin of inputs that something was found by."""

Result = dict[str, Any]


def main() -> int:
    """Do as the command line says."""
    asked = _arguments()
    found = 0
    for name in NAMES if asked.target == "all" else [asked.target]:
        done = fuzz(name, seconds=asked.seconds, executions=asked.executions, save=asked.save, replay=asked.replay)
        print(f"{name:12} {done['executions']:>10,} executions in {done['seconds']:,.0f} s, {done['edges']} edges, "
              f"{len(done['findings'])} findings", flush=True)  # fmt: skip
        for finding in done["findings"]:
            print(f"  {finding}", flush=True)
        found += len(done["findings"])
        if asked.json:
            add(asked.json, name, done)
    return 1 if found else 0


def fuzz(name: str, *, seconds: float, executions: int, save: bool, replay: bool, seed: int = 0) -> Result:
    """Fuzz one target until either bound; what came of it. Seed 0 is another one every time."""
    began, done, edges = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        work, findings = Path(temporary) / "corpus", Path(temporary) / "findings"
        work.mkdir()
        findings.mkdir()
        while (left := seconds - (time.monotonic() - began)) > 0 and done < executions:
            ran, edges = _chunk(name, work, findings, min(left, CHUNK_S), executions - done, replay, seed)
            done += ran
            if replay:
                break
        if save and not replay:
            _boil_down(name, work, Path(temporary) / "boiled")
        texts = sorted(findings.glob("*.txt"))
        told = [text.read_text(encoding="utf-8").partition("\n")[0] for text in texts]
        shutil.copytree(findings, FINDINGS, dirs_exist_ok=True)
        if save:
            _remember(name, findings)
    return {"executions": done, "seconds": time.monotonic() - began, "edges": edges, "findings": told}


def _chunk(
    name: str, work: Path, findings: Path, seconds: float, executions: int, replay: bool, seed: int
) -> tuple[int, int]:
    """Executions and edges of one process's life."""
    bounds = [f"-max_total_time={max(1, round(seconds))}", f"-runs={executions}", f"-seed={seed}"]
    bounds.append(f"-artifact_prefix={findings}/")
    said = _child(name, findings, ["--replay"] if replay else [*bounds, str(work)], patience=3600)
    ran = re.search(r"number_of_executed_units: (\d+)", said)
    if ran is None or any(findings.glob("timeout-*")) or any(findings.glob("oom-*")):
        (findings / f"{name}-ended.txt").write_text(
            f"{name}: the process ended: {_last(said)}\n\n{said}", encoding="utf-8"
        )
        last = re.findall(r"^#(\d+)\t", said, re.MULTILINE)
        return int((ran or [0, last[-1] if last else 0])[1]), 0
    edges = re.findall(r"cov: (\d+)", said)
    return int(ran[1]), int(edges[-1]) if edges else 0


def _last(said: str) -> str:
    """What libFuzzer, or the interpreter, ended with."""
    lines = [line for line in said.splitlines() if "ERROR" in line or "SUMMARY" in line or "Error" in line]
    return lines[-1] if lines else said[-200:]


def _child(name: str, findings: Path, arguments: list[str], *, patience: float) -> str:
    command = [sys.executable, "-m", "fuzz.one", name, str(findings), *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
        timeout=patience, text=True, errors="replace",
    )  # fmt: skip
    return ended.stderr


def _boil_down(name: str, work: Path, boiled: Path) -> None:
    """Keep the smallest inputs that cover what all of them do."""
    boiled.mkdir()
    _child(name, boiled.parent / "of-merging", ["-merge=1", str(boiled), str(work)], patience=3600)
    small = sorted((file for file in boiled.iterdir() if file.stat().st_size <= LARGEST_KEPT), key=_size)[:MOST_KEPT]
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    for file in (CORPUS / name).iterdir():
        if small and not file.name.startswith(FOUND):
            file.unlink()
    for file in small:
        shutil.copy(file, CORPUS / name / file.name)


def _remember(name: str, findings: Path) -> None:
    """Keep what was found: once it is mended, the corpus shows that it stays so."""
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    for file in findings.glob("*.bin"):
        shutil.copy(file, CORPUS / name / f"{FOUND}{file.stem.rpartition('-')[2]}")


def _size(file: Path) -> tuple[int, str]:
    return file.stat().st_size, file.name


def add(path: Path, name: str, done: Result) -> None:
    """Add what was done to a result file."""
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"benchmark": "fuzz", "targets": {}}
    before = result["targets"].get(name, {"executions": 0, "seconds": 0.0, "edges": 0})
    result["targets"][name] = {
        "executions": before["executions"] + done["executions"],
        "seconds": round(before["seconds"] + done["seconds"], 1),
        "edges": max(before["edges"], done["edges"]),
        "findings": done["findings"],
    }
    result["executions"] = sum(each["executions"] for each in result["targets"].values())
    result["machine"] = machine.record()
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("target", choices=[*NAMES, "all"])
    made.add_argument("--seconds", type=float, default=60.0, help="for each target (60)")
    made.add_argument("--executions", type=int, default=10**9, help="most of each target")
    made.add_argument("--json", type=Path, metavar="FILE", help="add the counts there")
    made.add_argument("--no-save", dest="save", action="store_false", help="leave the corpus as it is")
    made.add_argument("--replay", action="store_true", help="only try the corpus")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
