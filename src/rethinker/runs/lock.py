"""A lock on a folder that lives and dies with the process that holds it: `flock`, which a kill -9 releases too."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from rethinker.errors import RunFolderError

_held: set[int] = set()


def _let_go_in_child() -> None:
    """A forked worker inherits the descriptor, and would keep the lock after its parent was killed."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


class FolderLock:
    """Holds `<folder>/.lock`, which names the holder's process id and host, until `release` or the process ends.

    Raises:
        RunFolderError: another process (or this one) holds it; the message names the process.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / ".lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunFolderError(
                f"cannot write to the run folder {folder}: {error.strerror}; make it writable or choose another run.dir"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._descriptor, 200).decode(errors="replace").strip() or "another process"
            os.close(self._descriptor)
            raise RunFolderError(
                f"the run folder {folder} is in use by {holder}; wait until it ends, stop it, or choose another run.dir"
            ) from error
        except OSError as error:
            os.close(self._descriptor)
            raise RunFolderError(
                f"the run folder {folder} cannot be locked ({error.strerror}); "
                "choose a run.dir on a file system that supports flock"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        _held.add(self._descriptor)

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor in _held:
            _held.remove(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = -1
