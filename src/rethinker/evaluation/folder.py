"""The folder of an evaluation: one model's answers under one set of settings, and no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rethinker.data.tables import json_bytes
from rethinker.errors import DatasetError
from rethinker.runs.files import write_atomically
from rethinker.trees import leaves

FREE = ("versions", "limit", "sampling.samples", "model.path")
"""What may change from one call to the next: no answer depends on it, or it is the same weights elsewhere."""


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write `settings.json`, or see that what stands there fits.

    Raises:
        DatasetError: the folder holds answers of another model or under other settings, or cannot be written.
    """
    file = folder / "settings.json"
    answered = any(path.stat().st_size for path in folder.glob("*/answers.jsonl"))
    if answered and file.exists():
        _compare(file, settings)
    elif answered:
        raise DatasetError(f"{folder} holds answers and no settings.json that says whose; choose another --to")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be written: {error.strerror or error}; choose another --to") from error
    write_atomically(file, json_bytes(settings, indent=2) + b"\n")


def _compare(file: Path, settings: Mapping[str, Any]) -> None:
    try:
        begun = json.loads(file.read_text(encoding="utf-8"))
        stood, given = leaves(begun), leaves(settings)
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(f"{file} cannot be read: {error}; choose another --to, or remove {file.parent}") from error
    for name in {**stood, **given}:
        if name.startswith(FREE) or stood.get(name) == given.get(name):
            continue
        what = "answers of another model" if name == "model.weights" else f"answers with {name}={stood.get(name)!r}"
        raise DatasetError(
            f"{file.parent} holds {what}, and now {name} is {given.get(name)!r}; choose another --to, or remove that "
            "folder to begin again"
        )
