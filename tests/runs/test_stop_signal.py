from __future__ import annotations

import os
import signal

import pytest

from rethinker.runs.signals import Abandoned, StopSignal


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


def test_sigterm_leaves_what_may_be_left_and_ctrl_c_does_not() -> None:
    with StopSignal() as stop, stop.abandoning():
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.exit_code == 130
    with StopSignal() as stop:
        with pytest.raises(Abandoned), stop.abandoning():
            os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.exit_code, stop.patient) == (143, False)
        with pytest.raises(Abandoned), stop.abandoning():
            raise AssertionError("it was told before")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_the_handlers_before_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ZeroDivisionError), StopSignal():
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
