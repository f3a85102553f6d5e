"""Serves the official metrics: `python -S -P -m rethinker.evaluation.megabench.worker SETTINGS`, a JSON line each way.

Started by `process.MetricsProcess`, never by hand. A row's CPU time and memory are bounded here.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, TextIO

from rethinker.evaluation.megabench.metrics import MetricsError, OfficialMetrics
from rethinker.evaluation.megabench.sandbox import SandboxError

OUT_OF_MEMORY = 77
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until the other side closes its end."""
    settings = json.loads(sys.argv[1])
    _die_with(settings["parent"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = _claim_stdout()
    try:
        metrics = OfficialMetrics(Path(settings["folder"]), run_code=settings["run_code"])
    except ModuleNotFoundError as error:
        return _send(replies, {"failed": f"the module {error.name} is missing"})
    except (ImportError, MetricsError, SandboxError) as error:
        return _send(replies, {"failed": f"{error}"})
    _limit_memory(settings["memory_bytes"])
    _send(replies, {"ready": True, "unusable": metrics.unusable})
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, settings["row_seconds"])  # its signal ends the process
        try:
            reply = metrics.score(json.loads(line))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except (SandboxError, ValueError, KeyError) as error:
            reply = {"failed": f"{type(error).__name__}: {error}"}
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(replies, reply)
    return None


def _send(replies: TextIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply, default=repr) + "\n")
    replies.flush()


def _claim_stdout() -> TextIO:
    """Keep stdout for replies: what metrics print, and they do, goes nowhere."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    return replies


def _limit_memory(added: int) -> None:
    """Let the address space grow by so much from now on."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = held + added if hard == resource.RLIM_INFINITY else min(held + added, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    main()
