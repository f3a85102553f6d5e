"""A run killed with SIGKILL at random moments, and resumed each time, ends as one that nobody killed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

import kills


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.long)])
def test_a_run_killed_again_and_again_ends_as_one_that_never_was(tmp_path: Path, times: int) -> None:
    seed = int(os.environ.get("KILLS_SEED") or secrets.randbelow(2**31))
    found = kills.survived(tmp_path, kills=times, seed=seed)["details"]
    assert len(found["kills"]) == times
    assert found["differences"] == []
    assert found["orphans"] == []
    assert found["left_behind"] == []
    assert found["rollouts"] > 0
