from __future__ import annotations

import io

from rich.console import Console

from rethinker.commands.row_progress import RowProgress


def shown(*, terminal: bool, seconds_per_row: float) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100)
    now = [0.0]
    with RowProgress("checking rows", 100, done=20, console=console, every_seconds=15.0, clock=lambda: now[0]) as bar:
        for _ in range(80):
            now[0] += seconds_per_row
            bar.advance()
    return file.getvalue()


def test_elsewhere_than_in_a_terminal_a_line_is_printed_now_and_then_and_at_the_end() -> None:
    assert shown(terminal=False, seconds_per_row=0.01).splitlines() == ["checking rows  100/100  100 rows/s"]
    lines = shown(terminal=False, seconds_per_row=0.5).splitlines()
    assert lines == [f"checking rows  {row}/100  120.0 rows/min" for row in (50, 80, 100)]


def test_in_a_terminal_there_is_a_bar() -> None:
    text = shown(terminal=True, seconds_per_row=0.01)
    assert "100/100" in text
    assert "━" in text
