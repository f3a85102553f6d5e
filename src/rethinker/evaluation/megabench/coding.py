"""Runs a model's program for the official code metric: each test in a process of its own that is shut off first.

The official runner passes what a program prints through a pickle, which a hostile program could forge; here it comes
as text through a pipe that is all the program has.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn, Protocol

from rethinker.evaluation.megabench.sandbox import SandboxError, shut_off

SECONDS = 2
"""Of CPU time for one test of one program; officially by the clock, which a busy machine would turn against it."""

HUNG_SECONDS = 4.0
"""By the clock."""

MEMORY_BYTES = 512 * 2**20
MAX_OUTPUT_BYTES = 2**20

_STARTED, _REFUSED = b"+", b"-"

PROBES = {
    "opens a socket": "import socket; socket.socket()",
    "reaches another process": "import os; os.kill(os.getppid(), 0)",
    "starts a process": "import os; os.fork()",
    "creates a file": "open('/tmp/probe', 'w')",
    "deletes a file": "import os; os.unlink('/tmp/probe')",
    "takes all memory": f"bytearray({2 * MEMORY_BYTES})",
}
"""What a program must not be able to do → one that tries."""


class Tester(Protocol):
    """The part of the official tester that is used: run `user_code` here and put what it printed."""

    def target(self, output_queue: Outlet, input_str: str) -> None:
        """Run the program on an input."""


class Outlet:
    """Takes what the official tester puts into its queue, and writes it down a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def put(self, text: str) -> None:
        """Write it whole."""
        left = _STARTED + text.encode("utf-8", "replace")[:MAX_OUTPUT_BYTES]
        while left:
            left = left[os.write(self._pipe, left) :]


def run(tester: Tester, lines: list[str]) -> str:
    """What a program prints for an input, or the official words for what went wrong.

    Raises:
        SandboxError: it could not be shut off, and was not run.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _serve(tester, "\n".join(lines) + "\n", write)
    os.close(write)
    try:
        output, ended = _read(read, time.monotonic() + HUNG_SECONDS)
    finally:
        os.close(read)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if output.startswith(_REFUSED):
        raise SandboxError(output[1:].decode("utf-8", "replace"))
    if not ended:
        return "ERROR: Code execution exceeded the time limit."
    if not output:
        return "ERROR: No output was produced before timeout."
    return output[1:].decode("utf-8", "replace")


def check(make: Callable[[str], Tester]) -> None:
    """Try what the sandbox must prevent, and that an honest program runs.

    Raises:
        SandboxError: it does not hold, or holds too much.
    """
    if (said := run(make("print(int(input()) + 1)"), ["1"])) != "2":
        raise SandboxError(f"an honest program does not run in the sandbox: {said:.200}")
    for deed, program in PROBES.items():
        said = run(make(f"{program}\nprint('done')"), [])
        if not said.startswith("ERROR"):
            raise SandboxError(f"in the sandbox a program {deed}")


def _serve(tester: Tester, text: str, pipe: int) -> NoReturn:
    """The child: keep one pipe, be shut off, run the program, and end."""
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        kept = os.dup2(pipe, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        sys.dont_write_bytecode = True
        try:
            shut_off(MEMORY_BYTES, SECONDS)
        except OSError as error:
            os.write(kept, _REFUSED + str(error).encode())
        else:
            tester.target(Outlet(kept), text)
    finally:
        os._exit(0)


def _read(pipe: int, deadline: float) -> tuple[bytes, bool]:
    """What comes until the pipe ends or time is up, and whether it ended."""
    received = bytearray()
    while (left := deadline - time.monotonic()) > 0 and select.select([pipe], [], [], left)[0]:
        part = os.read(pipe, 65536)
        if not part:
            return bytes(received), True
        received += part
    return bytes(received), False
