"""`rethinker doctor`: look, and say what was found."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from rethinker.doctor import examine, exit_code, table


def report() -> int:
    """Print the checks; the exit code is 1 when something that training needs is missing."""
    checks = examine(Path("runs"))
    Console().print(table(checks))
    return exit_code(checks)
