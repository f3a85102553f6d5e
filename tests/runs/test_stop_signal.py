from __future__ import annotations

import os
import signal
import sys
import time
from typing import cast

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


class Signalled:
    """Something in whose finalizer a signal comes."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_in_a_finalizer_is_obeyed_nevertheless(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    with StopSignal() as stop:
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            finalize(Signalled(number))
        assert stop.exit_code is not None
    assert "Exception ignored" not in capfd.readouterr().err


def test_sigterm_in_a_finalizer_leaves_what_may_be_left() -> None:
    with StopSignal() as stop, pytest.raises(Abandoned), stop.abandoning():
        finalize(Signalled(signal.SIGTERM))


def test_what_may_no_longer_be_left_is_not_left_later() -> None:
    with StopSignal() as stop:
        with stop.abandoning():
            Signalled(signal.SIGTERM)
        time.sleep(0.1)
        assert not stop.patient


def test_other_errors_in_finalizers_are_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []

    def tell(what: sys.UnraisableHookArgs) -> None:
        told.append(what.exc_type)

    monkeypatch.setattr(sys, "unraisablehook", tell)
    with StopSignal():
        finalize(Signalled(cast("signal.Signals", 10_000)))
    assert told == [OSError]
    assert sys.unraisablehook is tell


def finalize(one: Signalled) -> None:
    """Drop it, and wait a while."""
    del one
    time.sleep(0.2)


def test_the_handlers_before_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ZeroDivisionError), StopSignal():
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
