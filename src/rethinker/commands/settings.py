"""What a user writes where a recipe is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def split_settings(given: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Files and overrides: what holds a "=" is an override, unless it is a YAML file's name or a file."""
    files = [part for part in given if "=" not in part or part.endswith((".yaml", ".yml")) or Path(part).is_file()]
    return [Path(part) for part in files], [part for part in given if part not in files]
