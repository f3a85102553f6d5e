"""The format of run folders and checkpoints: a number that each says of itself, and what is done about another one.

A release writes one format and reads the one before it, too. Resuming a run brings its folder to the format of today;
the checkpoints in it are left as they are. What changed from one to the next is in docs/upgrades.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rethinker import __version__
from rethinker.errors import RunFolderError

FORMAT = 2
"""What this release writes. Format 1 says nothing of itself."""

READ = (1, FORMAT)

FORMAT_FILE = "format.json"


def own_format() -> dict[str, object]:
    """What a folder of this release says of itself."""
    return {"format": FORMAT, "rethinker": __version__}


def check_run_format(folder: Path) -> None:
    """Check that this release reads a run folder.

    Raises:
        RunFolderError: it is of another format, or what it says of itself cannot be read.
    """
    path = folder / FORMAT_FILE
    try:
        said = json.loads(path.read_bytes())
        why = why_unreadable(said, folder) if isinstance(said, dict) else f"{path} holds no object"
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} is damaged: {error}; remove it if the run was never upgraded") from error
    if why:
        raise RunFolderError(why)


def why_unreadable(said: Mapping[str, object], what: Path) -> str:
    """Why this release does not read what says this of itself, and what to do; empty where it does."""
    found = said.get("format", 1)
    if found in READ:
        return ""
    reads = " and ".join(map(str, READ))
    if not isinstance(found, int) or found < READ[0]:
        return f"{what} says format {found!r}, which there never was; this release reads {reads}"
    by = f"rethinker {said['rethinker']}" if "rethinker" in said else "a later release"
    return (
        f"{what} has format {found}, written by {by}; rethinker {__version__} reads {reads}. Use that release, or a "
        "later one: each reads its own format and the one before, and a run is converted by resuming it"
    )
