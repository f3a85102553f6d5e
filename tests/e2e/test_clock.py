"""A clock that somebody, or a time server, sets anew while a run goes on."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from tests.e2e import runs

from rethinker.runs.trackers import read_metrics


def test_a_clock_that_jumps_by_days_changes_nothing(
    talker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back and forth, at every look."""
    monkeypatch.chdir(tmp_path)
    recipe = runs.write_recipe(tmp_path, talker)
    runs.train(recipe, Path("right"))
    day, looks, now = 86_400, itertools.count(), time.time
    monkeypatch.setattr(time, "time", lambda: now() + day * (-1) ** next(looks))
    monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))
    runs.train(recipe, Path("wrong"))
    assert next(looks) > 2
    runs.assert_same_run(Path("wrong"), Path("right"))
    rows = read_metrics(Path("wrong") / "metrics.jsonl")
    timed = [value for row in rows for name, value in row.items() if name.startswith("time/")]
    assert timed
    assert all(0 <= each < day / 10 for each in timed)
