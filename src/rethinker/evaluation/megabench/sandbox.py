"""Shuts the calling process off: from then on it can compute, read files and write to what is open, and no more.

A seccomp filter with a list of what is allowed, so that no network, no process, no signal, no change of a file is
possible, as root as well as for a plain user, and nothing undoes it. Needs Linux on x86-64; elsewhere it is refused.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable

_ALLOWED = (
    *(
        0,
        1,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        12,
        13,
        14,
        15,
    ),  # read write close stat… poll lseek mmap… brk signals' handlers
    *(17, 19, 20, 21, 23, 24, 25, 27, 28, 32, 33),  # pread readv writev access select yield mremap mincore madvise dup…
    *(
        34,
        35,
        36,
        37,
        38,
        39,
        60,
        63,
        78,
        79,
        89,
    ),  # pause nanosleep own timers getpid exit uname getdents getcwd readlink
    *(96, 97, 98, 99, 100, 102, 104, 107, 108, 110),  # gettimeofday getrlimit getrusage sysinfo times own ids
    *(131, 158, 186, 202, 204, 217, 218, 219, 228, 229, 230, 231),  # stacks gettid futex affinity getdents clocks exit
    *(262, 267, 269, 270, 271, 273, 292, 318, 324, 332, 334, 439),  # newfstatat… ppoll dup3 getrandom statx rseq
)
"""Numbers of x86-64's system calls that are allowed whatever their arguments."""

_OPEN, _OPENAT, _FCNTL, _CLONE, _CLONE3 = 2, 257, 72, 56, 435
_WRITING = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND | 0o20000000  # the last: an unnamed file
_FCNTLS = (0, 1, 2, 3, 1030)  # duplicate, get and set flags: none that has the kernel send a signal
_THREAD = 0x10000

_X86_64 = 0xC000003E
_LOAD, _IF_EQUAL, _IF_ANY, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _DENY = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


class SandboxError(OSError):
    """No sandbox can be had here."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def shut_off(memory_bytes: int, seconds: int) -> None:
    """Confine this process for good.

    Args:
        memory_bytes: What its address space may grow by.
        seconds: Processor time that it may use.

    Raises:
        SandboxError: it cannot be confined.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise SandboxError(f"the sandbox needs Linux on x86-64, this is {sys.platform} on {platform.machine()}")
    with open("/proc/self/statm", encoding="ascii") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
    for kind, limit in (
        (resource.RLIMIT_AS, held + memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (lower, lower))
    code = b"".join(_program())
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise SandboxError(f"the kernel takes no seccomp filter: {os.strerror(ctypes.get_errno())}")


def _program() -> Iterable[bytes]:
    """The filter; each block leaves the call's number loaded for the next one, or returns."""
    yield _instruction(_LOAD, _ARCHITECTURE)
    yield from _unless_equal(_X86_64, [_instruction(_RETURN, _KILL)])
    yield _instruction(_LOAD, _NUMBER)
    for number in _ALLOWED:
        yield from _if_equal(number, [_instruction(_RETURN, _ALLOW)])
    deny = _instruction(_RETURN, _DENY | errno.EPERM)
    allow = _instruction(_RETURN, _ALLOW)
    for number, place in ((_OPEN, 1), (_OPENAT, 2)):
        yield from _if_equal(number, [_argument(place), _instruction(_IF_ANY, _WRITING, 0, 1), deny, allow])
    fcntls = [part for kind in _FCNTLS for part in _if_equal(kind, [allow])]
    yield from _if_equal(_FCNTL, [_argument(1), *fcntls, deny])
    yield from _if_equal(_CLONE, [_argument(0), _instruction(_IF_ANY, _THREAD, 0, 1), allow, deny])
    # Its flags lie in memory, where a filter cannot look; the C library then falls back on clone.
    yield from _if_equal(_CLONE3, [_instruction(_RETURN, _DENY | errno.ENOSYS)])
    yield deny


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _argument(place: int) -> bytes:
    """Load the lower half of an argument."""
    return _instruction(_LOAD, _ARGUMENTS + 8 * place)


def _if_equal(value: int, block: list[bytes]) -> list[bytes]:
    return [_instruction(_IF_EQUAL, value, 0, len(block)), *block]


def _unless_equal(value: int, block: list[bytes]) -> list[bytes]:
    return [_instruction(_IF_EQUAL, value, len(block), 0), *block]
