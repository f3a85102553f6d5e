"""`rethinker ablate`: the method piece by piece, from the same start on the same problems, paired by seed."""

from __future__ import annotations

import platform
import sys
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from subprocess import STDOUT, Popen

from rich.console import Console
from rich.markdown import Markdown

from rethinker.config import Config
from rethinker.config_files import diff, living_in, load, to_yaml
from rethinker.cores import usable_cores
from rethinker.errors import ConfigError, Interrupted, RethinkerError
from rethinker.runs import ablation
from rethinker.runs.signals import StopSignal

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


def ablate(files: Sequence[Path], overrides: Sequence[str], *, seeds: int, jobs: int, folder: Path) -> None:
    """Run every arm under every seed, finished runs excepted, and write what they show.

    Each run is a process of its own, so that its peak memory is its own. Several at once share the cores evenly.

    Args:
        jobs: Runs at a time.

    Raises:
        ConfigError: the recipe forces no second looks, so the last arm would equal the one before; no seeds or jobs; or
            a folder holds a run of another configuration.
        RethinkerError: a run failed; the others' results stay.
        Interrupted: a signal asked to stop; what is running was saved.
    """
    recipe = load(files, overrides)
    if seeds < 1 or jobs < 1:
        raise ConfigError(f"--seeds={seeds} --jobs={jobs} leaves nothing to run; give 1 or more of each")
    if recipe.rethink.kind == "none":
        raise ConfigError("the recipe has rethink.kind=none, so two arms would be the same; set rethink.kind=forced")
    threads = recipe.threads or max(1, usable_cores() // jobs)
    runs: dict[str, list[Path]] = {arm: [] for arm in ARMS}
    waiting: dict[Path, Config] = {}
    for number in range(seeds):
        for arm, settings in ARMS.items():
            path = folder / f"{_slug(arm)}-seed{recipe.seed + number}"
            runs[arm].append(path)
            chosen = [*settings, f"seed={recipe.seed + number}", f"threads={threads}"]
            config = living_in(path, load(files, overrides, chosen))
            if not _finished(path, config):
                waiting[path] = config
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    _run(waiting, jobs, console)
    found = ablation.summarise(runs, contrasts=CONTRASTS, about=_about(files, overrides, seeds, jobs, threads))
    ablation.write(found, folder)
    console.print(Markdown(ablation.markdown(found)))
    console.print(f"wrote {folder / 'ablation.json'}, .md and .png", highlight=False, soft_wrap=True)


def _finished(path: Path, wanted: Config) -> bool:
    """Whether a run is complete.

    Raises:
        ConfigError: the folder holds a run of another configuration.
    """
    if not (path / "config.yaml").is_file():
        return False
    differing = {
        name: pair
        for name, pair in diff(load([path / "config.yaml"]), wanted).items()
        if not name.startswith("run.") and name != "threads"
    }
    if differing:
        name, (there, here) = next(iter(differing.items()))
        raise ConfigError(
            f"{path} holds a run with {name}={there!r}, this ablation has {here!r}; choose another --to, or remove it"
        )
    return (path / "summary.json").is_file()


def _run(waiting: Mapping[Path, Config], jobs: int, console: Console) -> None:
    """Start runs, or go on with broken ones, `jobs` at a time, until none is left."""
    left, running = deque(waiting), dict[Path, Popen[bytes]]()
    with StopSignal() as stop:
        try:
            while left or running:
                while left and len(running) < jobs:
                    path = left.popleft()
                    running[path] = _spawn(path, waiting[path], quiet=jobs > 1)
                    console.print(f"{len(waiting) - len(left)}/{len(waiting)}  {path}", highlight=False, soft_wrap=True)
                time.sleep(0.1)
                if stop.exit_code is not None:
                    raise Interrupted("stopped; the same command goes on where it was", exit_code=stop.exit_code)
                for path in [path for path, process in running.items() if process.poll() is not None]:
                    code = running.pop(path).returncode
                    if code:
                        raise RethinkerError(
                            f"the run {path} ended with exit code {code}{_last_words(path)}; once that is mended the "
                            "same command goes on with what is left"
                        )
        finally:
            _end(running.values(), stop)


def _end(running: Collection[Popen[bytes]], stop: StopSignal) -> None:
    """Ask politely: a run finishes its step and saves. A second signal is passed on, and obeyed at once."""
    for process in running:
        process.terminate()
    try:
        for process in running:
            process.wait()
    except KeyboardInterrupt:
        for process in running:
            process.terminate()
        raise Interrupted(
            "stopped at once; the same command goes on from the last checkpoints", exit_code=stop.exit_code or 130
        ) from None


def _spawn(path: Path, config: Config, *, quiet: bool) -> Popen[bytes]:
    """One run in a session of its own, so that a Ctrl-C reaches it once, from here."""
    recipe = path.with_name(f"{path.name}.yaml")
    recipe.write_text(to_yaml(config), encoding="utf-8")
    chosen = ["--resume", str(path)] if (path / "config.yaml").is_file() else [str(recipe)]
    command = [sys.executable, "-m", "rethinker", "train", *chosen]
    if not quiet:
        return Popen(command, start_new_session=True)
    with _log(path).open("ab") as log:
        return Popen(command, start_new_session=True, stdout=log, stderr=STDOUT)


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}.log")


def _last_words(path: Path) -> str:
    """The end of a quiet run's output, with where the rest is."""
    if not _log(path).is_file():
        return ""
    lines = _log(path).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f" ({lines[-1] if lines else 'it said nothing'}; see {_log(path)})"


def _slug(arm: str) -> str:
    return arm.lower().replace(" + ", "-").replace(" ", "-")


def _about(files: Sequence[Path], overrides: Sequence[str], seeds: int, jobs: int, threads: int) -> dict[str, str]:
    return {
        "recipe": " ".join([*map(str, files), *overrides]),
        "seeds": str(seeds),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{platform.machine()}, {platform.system()}; {jobs} runs at a time, threads={threads} each",
        "versions": f"Python {platform.python_version()}, torch {version('torch')}, "
        f"transformers {version('transformers')}, rethinker {version('rethinker')}",
    }
