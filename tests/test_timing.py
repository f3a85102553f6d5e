from __future__ import annotations

from types import SimpleNamespace

import pytest

from rethinker import timing
from rethinker.timing import Stopwatch


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
