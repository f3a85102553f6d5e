from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from rethinker import timing
from rethinker.timing import Recorder, Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return now


def test_stretches_of_one_name_add_up_and_names_may_nest(clock: list[float]) -> None:
    watch = Stopwatch(("rethink", "generate", "save"))
    for _ in range(2):
        with watch("rethink"):
            clock[0] += 1
            with watch("generate"):
                clock[0] += 2
    drained = {name: mean.value for name, mean in watch.drain().items()}
    assert drained == {"time/rethink": 6, "time/generate": 4, "time/save": 0}


def test_a_drain_starts_again_from_the_names_promised(clock: list[float]) -> None:
    watch = Stopwatch(("save",))
    with watch("evaluate"):
        clock[0] += 1
    assert watch.drain().keys() == {"time/save", "time/evaluate"}
    assert watch.drain().keys() == {"time/save"}


def test_a_stretch_that_ends_in_an_error_counts(clock: list[float]) -> None:
    def verify() -> None:
        with watch("verify"):
            clock[0] += 3
            raise ValueError("oh")

    watch = Stopwatch()
    with pytest.raises(ValueError, match="oh"):
        verify()
    assert watch.drain()["time/verify"].value == 3


def test_recorded_stretches_are_exclusive_and_add_up_to_the_step(clock: list[float]) -> None:
    recorder = Recorder()
    watch = Stopwatch(recorder=recorder)
    watch.start()
    with watch("update"):
        clock[0] += 1
        for _ in range(2):
            with watch.within("forward"):
                clock[0] += 2
                watch.count(tokens=5)
        with watch.within("backward"):
            clock[0] += 3
    clock[0] += 4
    watch.lap(1)
    (lap,) = recorder.laps
    seconds = {path: part.seconds for path, part in lap.parts.items()}
    assert seconds == {("update",): 1, ("update", "forward"): 4, ("update", "backward"): 3}
    assert lap.parts["update", "forward"].counts == {"tokens": 10}
    assert (lap.step, lap.seconds) == (1, sum(seconds.values()) + 4)


def test_what_was_before_the_start_is_in_no_step(clock: list[float]) -> None:
    recorder = Recorder()
    watch = Stopwatch(recorder=recorder)
    with watch("evaluate"):
        clock[0] += 9
    watch.start()
    clock[0] += 1
    watch.lap(1)
    assert (recorder.laps[0].seconds, recorder.laps[0].parts) == (1, {})
    assert [event.name for event in recorder.events] == ["step 1"]


def test_an_interrupted_stretch_is_recorded_and_closed(clock: list[float]) -> None:
    recorder = Recorder()
    watch = Stopwatch(recorder=recorder)

    def decode() -> None:
        with watch("generate"), watch.within("decode"):
            clock[0] += 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode()
    with watch("save"):
        clock[0] += 1
    watch.lap(1)
    assert {path: part.seconds for path, part in recorder.laps[0].parts.items()} == {
        ("generate", "decode"): 2,
        ("generate",): 0,
        ("save",): 1,
    }


def test_other_threads_take_nothing_from_the_step(clock: list[float]) -> None:
    recorder = Recorder()
    watch = Stopwatch(recorder=recorder)

    def verify() -> None:
        with watch.apart("verify"):
            clock[0] += 2

    with watch("generate"):
        thread = threading.Thread(target=verify, name="verifier-0")
        thread.start()
        thread.join()
    watch.lap(1)
    (lap,) = recorder.laps
    assert lap.apart == {"verify": 2}
    assert list(lap.parts) == [("generate",)]
    assert ("verify", "verifier-0") in {(event.name, event.thread) for event in recorder.events}


def test_the_device_is_waited_for_at_every_border_when_recording_and_never_else() -> None:
    waits: list[None] = []
    for recorder, wanted in ((None, 0), (Recorder(synchronise=lambda: waits.append(None)), 4)):
        watch = Stopwatch(recorder=recorder)
        with watch("update"), watch.within("forward"):
            watch.count(tokens=1)
        assert len(waits) == wanted


def test_only_the_latest_events_are_kept_and_no_step_is_lost() -> None:
    recorder = Recorder(events=3)
    for step in range(5):
        with recorder.span("decode"):
            pass
        recorder.lap(step)
    assert [event.name for event in recorder.events] == ["step 3", "decode", "step 4"]
    assert len(recorder.laps) == 5
