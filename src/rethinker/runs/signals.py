"""Stopping politely: the first Ctrl-C or SIGTERM is remembered until the step is done, the second is obeyed at once.

Ctrl-C is a person's, who waits. SIGTERM is most often a machine's that will be taken away in half a minute, and one
step of a large model may take many: what can be made again after a resume, and to the same bytes, is abandoned for it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

_HEARD = b"\nfinishing the step, then saving; once more to stop at once\n"
_ABANDONED = b"\nleaving the episode that is being made, and saving; once more to stop at once\n"

_AGAIN_S = 0.01
"""After which a signal that nobody got is heard again."""

_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Abandoned(BaseException):
    """What was being done is not to be finished. No error, and nothing that handles errors may take it for one."""


class StopSignal:
    """While entered, signals set `exit_code` instead of ending the process. Only the main thread can enter.

    A signal may come while a finalizer runs, or a callback of a weak reference: what these raise, Python writes down
    and drops. So what is dropped there is raised again a moment later.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        """130 after Ctrl-C, 143 after SIGTERM, None while nobody asked."""
        self._before: dict[signal.Signals, signal.Handlers | int | None] = {}
        self._hook_before = sys.unraisablehook
        self._may_be_left = False
        self._dropped: type[BaseException] = KeyboardInterrupt

    @property
    def patient(self) -> bool:
        """Whether there is time for what can be done later as well."""
        return self.exit_code != _EXIT_CODES[signal.SIGTERM]

    @contextmanager
    def abandoning(self) -> Iterator[None]:
        """SIGTERM leaves what is inside at once.

        Raises:
            Abandoned: it came, now or before.
        """
        self._may_be_left = True
        try:
            if not self.patient:
                raise Abandoned
            yield
        finally:
            self._may_be_left = False

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self.exit_code is not None:
            raise KeyboardInterrupt
        self.exit_code = _EXIT_CODES[signal.Signals(number)]
        leaving = self._may_be_left and number == signal.SIGTERM
        # A console may be in the middle of a line, and its streams cannot be entered twice.
        os.write(2, _ABANDONED if leaving else _HEARD)
        if leaving:
            raise Abandoned

    def _unraisable(self, what: sys.UnraisableHookArgs) -> None:
        if issubclass(what.exc_type, (KeyboardInterrupt, Abandoned)):
            self._dropped = what.exc_type
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        else:
            self._hook_before(what)

    def _heard_again(self, _number: int, _frame: FrameType | None) -> None:
        if self._may_be_left or self._dropped is KeyboardInterrupt:
            raise self._dropped

    def __enter__(self) -> Self:
        for name, handler in {**dict.fromkeys(_EXIT_CODES, self._heard), signal.SIGALRM: self._heard_again}.items():
            self._before[name] = signal.signal(name, handler)  # type: ignore[assignment]
        self._hook_before, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = self._hook_before
        for name, handler in self._before.items():
            signal.signal(name, handler)
