from __future__ import annotations

import os
import signal

import pytest

from rethinker.runs.signals import StopSignal


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_remembered_and_the_second_obeyed(
    number: signal.Signals, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with StopSignal() as stop:
        assert stop.exit_code is None
        os.kill(os.getpid(), number)
        assert stop.exit_code == code
        assert "finishing the step, then saving; once more to stop at once" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.exit_code == code


def test_the_handlers_before_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ZeroDivisionError), StopSignal():
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
