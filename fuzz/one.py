"""One target in this process: `python -m fuzz.one TARGET FINDINGS [libFuzzer's arguments]`, or `--replay`.

Findings do not end the run: each is written once, by its kind and place, and the fuzzer goes on. A hang or a lack of
memory does end it; libFuzzer writes what led there.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import resource
import sys
import time
import traceback
from pathlib import Path

from fuzz import fenced
from fuzz.targets import Target, load

CPU_SECONDS, MEGABYTES, LONGEST = 5, 2500, 4096
"""Limits of what one input may cost, of the process's memory, and of an input's bytes."""

HANGS_S = 600
"""Seconds by the clock after which libFuzzer gives up: a busy machine may let a process wait for minutes."""


def main() -> None:
    """Fuzz, or replay the corpus."""
    # Linux counts the parent's peak into its child's, which is all that libFuzzer looks at.
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    name, findings, *arguments = sys.argv[1:]
    if "--replay" in arguments or importlib.util.find_spec("atheris") is None:
        _replay(load(name), Path(findings))
        return
    import atheris  # the fuzzer has no build for every platform

    with atheris.instrument_imports(include=["rethinker"]):
        target = load(name)
    _warm_up(target)
    if not any(each.startswith("-merge") for each in arguments):
        _lay_out(target, Path(arguments[-1]))
    memory = f"-rss_limit_mb={MEGABYTES + inherited}"
    limits = [f"-timeout={HANGS_S}", memory, f"-max_len={LONGEST}", "-print_final_stats=1"]
    itself = f"{sys.executable} -m fuzz.one {name} {findings}"  # which a merge starts anew
    atheris.Setup([itself, *limits, *arguments], lambda data: _try(target, data, Path(findings)))
    atheris.Fuzz()


def _lay_out(target: Target, work: Path) -> None:
    """What a run begins with, as files."""
    for data in target.inputs:
        (work / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


def _replay(target: Target, findings: Path) -> None:
    _warm_up(target)
    inputs = target.inputs
    for data in inputs:
        _try(target, data, findings)
    sys.stderr.write(f"stat::number_of_executed_units: {len(inputs)}\n")


def _warm_up(target: Target) -> None:
    """Once without a fence: what is imported late is no finding."""
    for data in target.seeds:
        with contextlib.suppress(Exception):  # it is found again below
            target.check(data)
    fenced.install()


def _try(target: Target, data: bytes, findings: Path) -> None:
    began = time.process_time()
    try:
        with fenced.fence():
            target.check(data)
        assert time.process_time() - began < CPU_SECONDS, f"it took {time.process_time() - began:.1f} s"
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is a finding)
        _note(target, data, error, findings)


def _note(target: Target, data: bytes, error: BaseException, findings: Path) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if "rethinker" in frame.filename), frames[-1])
    sign = hashlib.sha256(f"{type(error).__name__} {place.filename} {place.name}".encode()).hexdigest()[:12]
    findings.mkdir(parents=True, exist_ok=True)
    told = findings / f"{target.name}-{sign}.txt"
    if not told.exists():
        told.write_text(f"{type(error).__name__} in {place.name}: {error!s:.500}\n\n{data!r}\n\n", encoding="utf-8")
        with told.open("a", encoding="utf-8", errors="backslashreplace") as file:
            traceback.print_exception(error, file=file, limit=-12)
        (findings / f"{target.name}-{sign}.bin").write_bytes(data)


if __name__ == "__main__":
    main()
