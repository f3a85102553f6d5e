"""`rethinker ablate`: the method piece by piece, from the same start on the same problems, paired by seed."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console
from rich.markdown import Markdown

from rethinker.commands.train import resume, start
from rethinker.config_files import diff, load
from rethinker.errors import ConfigError
from rethinker.runs import ablation

ARMS: dict[str, tuple[str, ...]] = {
    "GRPO": ("replay.kind=none", "rethink.kind=none"),
    "GRPO-Filter": ("replay.kind=filter", "rethink.kind=none"),
    "GRPO-SSR": ("replay.kind=ssr", "rethink.kind=none"),
    "SSR + Forced Rethinking": ("replay.kind=ssr",),
}
"""The paper's ablation; the last arm keeps the recipe's own rethinking."""

CONTRASTS = (
    ("GRPO-Filter", "GRPO"),
    ("GRPO-SSR", "GRPO-Filter"),
    ("SSR + Forced Rethinking", "GRPO-SSR"),
)


def ablate(files: Sequence[Path], overrides: Sequence[str], *, seeds: int, folder: Path) -> None:
    """Run every arm under every seed, finished runs excepted, and write what they show.

    Raises:
        ConfigError: the recipe forces no second looks, so the last arm would equal the one before; or no seeds.
    """
    recipe = load(files, overrides)
    if seeds < 1:
        raise ConfigError(f"--seeds={seeds} leaves nothing to run; give 1 or more")
    if recipe.rethink.kind == "none":
        raise ConfigError("the recipe has rethink.kind=none, so two arms would be the same; set rethink.kind=forced")
    console = Console()
    runs: dict[str, list[Path]] = {arm: [] for arm in ARMS}
    for number in range(seeds):
        for arm, settings in ARMS.items():
            path = folder / f"{_slug(arm)}-seed{recipe.seed + number}"
            console.rule(f"{arm}, seed {recipe.seed + number}")
            chosen = [*overrides, *settings, f"seed={recipe.seed + number}", f"run.dir={path}"]
            _run(files, chosen, path, console)
            runs[arm].append(path)
    found = ablation.summarise(runs, contrasts=CONTRASTS, about=_about(files, overrides, seeds))
    ablation.write(found, folder)
    console.print(Markdown(ablation.markdown(found)))
    console.print(f"wrote {folder / 'ablation.json'}, .md and .png", highlight=False, soft_wrap=True)


def _run(files: Sequence[Path], overrides: Sequence[str], path: Path, console: Console) -> None:
    """Start a run, go on with a broken one, or leave a finished one alone.

    Raises:
        ConfigError: the folder holds a run of another configuration.
    """
    if not (path / "config.yaml").is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        start(files, overrides)
        return
    differing = diff(load([path / "config.yaml"], []), load(files, overrides))
    differing = {name: pair for name, pair in differing.items() if not name.startswith("run.")}
    if differing:
        name, (there, here) = next(iter(differing.items()))
        raise ConfigError(
            f"{path} holds a run with {name}={there!r}, this ablation has {here!r}; choose another --to, or remove it"
        )
    if (path / "summary.json").is_file():
        console.print(f"finished before: {path}", highlight=False, soft_wrap=True)
    else:
        resume(path, [], [])


def _slug(arm: str) -> str:
    return arm.lower().replace(" + ", "-").replace(" ", "-")


def _about(files: Sequence[Path], overrides: Sequence[str], seeds: int) -> dict[str, str]:
    return {
        "recipe": " ".join([*map(str, files), *overrides]),
        "seeds": str(seeds),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {platform.system()}",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {version('transformers')}, rethinker {version('rethinker')}",
    }
