"""Everything a page shows, as one JSON object: runs with their figures, a stated sample of responses, an ablation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rethinker.errors import RunFolderError
from rethinker.report.digest import GroupDigest
from rethinker.report.reading import RunReader
from rethinker.report.sample import chosen
from rethinker.report.shown import image_bytes, shown_groups, shown_images
from rethinker.report.strict_json import strict

Json = dict[str, Any]

PAGE_BYTES = 14_000_000
"""A page holds no more, whatever the run's length."""

ROLLOUT_BYTES = 9_000_000
"""Of those for responses and images, of all runs together; the rest is for figures and the page itself."""


def document(runs: Sequence[RunReader], *, ablation: Json | None, rollout_bytes: int = ROLLOUT_BYTES) -> Json:
    """A page of these runs, brought up to date before.

    Args:
        ablation: An `ablation.json`.
        rollout_bytes: About what responses and images may take.
    """
    names = _names(runs)
    share = rollout_bytes // max(1, len(runs))
    return {
        "runs": [_run(run, name, budget=share) for run, name in zip(runs, names, strict=True)],
        "ablation": ablation,
    }


def _run(run: RunReader, name: str, *, budget: int) -> Json:
    images = run.folder / "rollouts" / "images"
    groups = run.groups
    taken = chosen(groups, budget, image_bytes=lambda image: image_bytes(images, image))
    return {
        "name": name,
        "config": run.config,
        "summary": run.summary(),
        "metrics": run.metrics(),
        "thinking": run.thinking(),
        "rollouts": sample_of(run, taken, groups),
    }


def sample_of(run: RunReader, taken: Sequence[GroupDigest], groups: Iterable[GroupDigest]) -> Json:
    """The groups taken, their images, and of how many responses they are."""
    folder = run.folder / "rollouts"
    shown = shown_groups(folder, taken)
    names = dict.fromkeys(name for group in shown for name in group["images"])
    return {
        "total": sum(group.size for group in groups),
        "groups": shown,
        "images": shown_images(folder / "images", names),
    }


def ablation_in(folder: Path) -> tuple[Json, list[Path]] | None:
    """The result of `rethinker ablate` in a folder, and the folders of its runs that are there, arm by arm.

    Raises:
        RunFolderError: the result is no JSON object.
    """
    path = folder / "ablation.json"
    if not path.is_file():
        return None
    try:
        result = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is no JSON: {error}; run the ablation again") from error
    if not isinstance(result, dict) or "arms" not in result:
        raise RunFolderError(f"{path} holds no ablation; it needs `arms`")
    there = {path.parent.name: path.parent for path in sorted(folder.glob("*/config.yaml"))}
    arms = result.get("runs")  # which results of earlier versions do not tell
    named = arms.values() if isinstance(arms, dict) else ()
    ordered = [str(name) for names in named if isinstance(names, list) for name in names]
    return strict(result), [there[name] for name in dict.fromkeys([*ordered, *there]) if name in there]


def _names(runs: Sequence[RunReader]) -> list[str]:
    """The folders' own names; with their parents' where two are the same."""
    names = [run.name for run in runs]
    paths = ["/".join(run.folder.resolve().parts[-2:]) for run in runs]
    return [name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)]
