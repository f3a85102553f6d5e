"""Stopping politely: the first Ctrl-C or SIGTERM is remembered until the step is done, the second is obeyed at once."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Self

_HEARD = b"\nfinishing the step, then saving; once more to stop at once\n"

_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class StopSignal:
    """While entered, signals set `exit_code` instead of ending the process. Only the main thread can enter."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        """130 after Ctrl-C, 143 after SIGTERM, None while nobody asked."""
        self._before: dict[signal.Signals, signal.Handlers | int | None] = {}

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self.exit_code is not None:
            raise KeyboardInterrupt
        self.exit_code = _EXIT_CODES[signal.Signals(number)]
        os.write(2, _HEARD)  # a console may be in the middle of a line, and its streams cannot be entered twice

    def __enter__(self) -> Self:
        for name in _EXIT_CODES:
            self._before[name] = signal.signal(name, self._heard)  # type: ignore[assignment]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)
