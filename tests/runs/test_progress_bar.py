"""Progress is a bar in a terminal and rare plain lines elsewhere."""

import io

import pytest
from rich.console import Console

from rethinker.runs.progress import Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_log_file_gets_a_line_every_so_often_and_at_the_end(clock):
    out = io.StringIO()
    with Progress(Console(file=out, width=40), steps=10, every_seconds=30, clock=clock) as progress:
        for step in range(1, 11):
            clock.now += 12
            progress.update(step, reward=0.1 * step, mixed=0.5, tokens=1200)
    assert out.getvalue().splitlines() == [
        "step 3/10  reward 0.300  mixed 50%  100 tokens/s  1 min 24 s left",
        "step 6/10  reward 0.600  mixed 50%  100 tokens/s  0 min 48 s left",
        "step 9/10  reward 0.900  mixed 50%  100 tokens/s  0 min 12 s left",
        "step 10/10  reward 1.000  mixed 50%  100 tokens/s  0 min 00 s left",
    ]


def test_step_without_generation_keeps_the_last_figures(clock):
    out = io.StringIO()
    with Progress(Console(file=out), steps=4, start=2, every_seconds=0, clock=clock) as progress:
        clock.now += 3600
        progress.update(3, reward=None, mixed=None, tokens=0)
        progress.update(4, reward=0.25, mixed=0.75, tokens=7200)
    lines = out.getvalue().splitlines()
    assert lines[0] == "step 3/4  reward –  mixed –  0 tokens/s  1 h 00 min left"
    assert lines[1] == "step 4/4  reward 0.250  mixed 75%  2 tokens/s  0 min 00 s left"


def test_terminal_shows_a_bar(clock):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    with Progress(console, steps=4, clock=clock) as progress:
        clock.now += 10
        progress.phase("evaluating")
        progress.update(2, reward=0.5, mixed=0.25, tokens=1000)
    shown = out.getvalue()
    assert "evaluating" in shown
    assert "2/4" in shown
    assert "reward 0.500  mixed 25%  100 tokens/s" in shown
