"""`rethinker gym`: list the families, draw a contact sheet."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from rethinker.data.gym.preview import catalogue_rows, preview
from rethinker.errors import RethinkerError


def list_families() -> None:
    """Print every family, its category and what its levels are."""
    table = Table(show_edge=False, pad_edge=False)
    for name in ("family", "category", "levels", "what they are"):
        table.add_column(name)
    for row in catalogue_rows():
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)


def draw_preview(path: Path) -> None:
    """Write the contact sheet and say where.

    Raises:
        RethinkerError: it cannot be written.
    """
    try:
        preview(path)
    except OSError as error:
        raise RethinkerError(
            f"cannot write {path}: {error.strerror or error}; give --to the name of a file in a folder you can write"
        ) from error
    Console().print(f"wrote {path}", highlight=False, soft_wrap=True)
