"""A fence around what reads untrusted input: it may read and write files in one folder, and do nothing else outside.

An audit hook sees what Python does below any library. What leaves the fence raises a BaseException, which no
`except Exception` of the code under test can hide.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FORBIDDEN = frozenset(
    {
        *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen", "ctypes.dlopen"),
        *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind", "urllib.Request"),
        *("pickle.find_class", "os.chmod", "os.link", "os.symlink"),
    }
)
"""Audit events of starting programs, of the network, and of making code out of data."""

MAY_BE_READ = tuple(
    os.path.join(os.path.realpath(each), "")
    for each in (sys.prefix, sys.base_prefix, Path(__file__).parents[1] / "src", "/usr/share/zoneinfo")
)
"""Our own code and its libraries, which read their own files when they please."""

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
"""The one folder of this process; the targets lay their files there."""


class Escaped(BaseException):
    """Something was done that no input may bring about."""


@contextmanager
def fence() -> Iterator[None]:
    """Let nothing out while the block runs."""
    _STATE.up = True
    try:
        yield
    finally:
        _STATE.up = False


class _State(threading.local):
    """Of one thread: what others do, a pool that restarts its worker for example, is theirs."""

    up = False


_STATE = _State()
_HOOKED: list[bool] = []


def _judge(event: str, arguments: tuple[object, ...]) -> None:
    if not _STATE.up:
        return
    if event in FORBIDDEN:
        raise Escaped(f"{event}{arguments!r:.200}")
    if event == "open":
        _judge_open(*arguments)
    elif event == "exec" and arguments[0].co_filename.startswith("<"):
        raise Escaped(f"code was run: {arguments[0]!r}")


def _judge_open(path: object, mode: object, flags: object) -> None:
    if not isinstance(path, str | bytes | os.PathLike):
        return  # a descriptor that was opened before
    real = os.path.realpath(os.fsdecode(path))
    writes = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    if real.startswith(f"{FOLDER}{os.sep}") or real == os.devnull or (not writes and real.startswith(MAY_BE_READ)):
        return
    raise Escaped(f"{path!r:.200} was opened{' for writing' * writes} ({mode})")


def install() -> None:
    """Hook in, once; a hook cannot be taken out again."""
    if not _HOOKED:
        _HOOKED.append(True)
        sys.addaudithook(_judge)
