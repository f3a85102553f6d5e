"""`rethinker train`: start a run by a recipe, or go on with one; show how it went."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count, islice
from os.path import expanduser
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from rethinker.build import build
from rethinker.build_torchrun import serve_torchrun
from rethinker.commands.out_of_memory import out_of_memory, ran_out
from rethinker.config import Config
from rethinker.config_files import living_in, load, to_yaml
from rethinker.distributed.launch import Launch, launched
from rethinker.errors import (
    CheckpointError,
    ClusterError,
    ConfigError,
    DataError,
    DatasetError,
    Interrupted,
    RankLostError,
)
from rethinker.interfaces import ProblemSource
from rethinker.rewards.preflight import preflight
from rethinker.runs.checkpoints import latest_checkpoint
from rethinker.runs.folder import RunFolder
from rethinker.runs.memory import PeakMemory
from rethinker.runs.progress import Progress
from rethinker.runs.signals import StopSignal
from rethinker.runs.summary import Summary
from rethinker.runs.trackers import read_metrics
from rethinker.train import Parts, Run
from rethinker.types import Problem, State
from rethinker.units import duration, gigabytes

PREFLIGHT_PROBLEMS = 64
"""Held-out problems among which one of each kind is tried before step 1."""


def start(files: Sequence[Path], overrides: Sequence[str]) -> Summary | None:
    """Train from the beginning; None from a process that only served one that did.

    Raises:
        RethinkerError: anything that keeps the run from starting or going on.
    """
    config = load(files, overrides)
    if (launch := launched()) is not None and config.cluster.kind == "torchrun":
        return _start_launched(config, launch)
    chosen = Path(expanduser(config.run.dir)) if config.run.dir else None
    with RunFolder.create(chosen) if chosen else RunFolder.create_named(config.run.recipe) as folder:
        return _run(config, folder, resuming=False)


def _start_launched(config: Config, launch: Launch) -> Summary | None:
    """One process of a torchrun: the first trains, again where the launch began again; the others serve it.

    Raises:
        ClusterError: the launch began again, and no run is named that could go on.
    """
    if launch.rank > 0:
        quieten()
        serve_torchrun(config)
        return None
    if launch.restarts and not config.run.dir:
        raise ClusterError(
            f"torchrun began again ({launch.restarts}) and nothing says which run should go on: name it with run.dir"
        )
    folder = Path(expanduser(config.run.dir)) if config.run.dir else None
    if launch.restarts and folder is not None and folder.exists():
        return resume(folder, [], [])
    with RunFolder.create(folder) if folder else RunFolder.create_named(config.run.recipe) as made:
        return _run(config, made, resuming=False)


def resume(path: Path, files: Sequence[Path], overrides: Sequence[str]) -> Summary:
    """Go on from a run's last checkpoint under its own configuration, with `overrides` laid over it.

    A run that was stopped before its first checkpoint begins again.

    Raises:
        CheckpointError: the checkpoint is damaged or does not fit, or the run is complete.
    """
    if files:
        raise ConfigError(f"--resume takes the run's own configuration; leave out {files[0]}, overrides may stay")
    with RunFolder.resume(path) as folder:
        config = living_in(path, load([folder.config_file], overrides))
        return _run(config, folder, resuming=True)


def _run(config: Config, folder: RunFolder, *, resuming: bool) -> Summary:
    quieten()
    console = Console()
    with StopSignal() as stop, PeakMemory() as memory:
        train = partial(_train, config, folder, console, memory=memory, stop=stop)
        try:
            parts, summary = _surviving(train, config, console, stop=stop, resuming=resuming)
        except KeyboardInterrupt:
            raise Interrupted(_what_is_lost(folder), exit_code=stop.exit_code or 130) from None
    show(console, parts, summary)
    parts.quarantine.judge(at_end=True)
    return summary


def _surviving(
    train: Callable[..., tuple[Parts, Summary]], config: Config, console: Console, *, stop: StopSignal, resuming: bool
) -> tuple[Parts, Summary]:
    """Train, going on from the last checkpoint after a process was lost, as often as the cluster allows."""
    restarts = config.cluster.max_restarts if config.cluster.kind == "ray" else 0
    for lost in count():
        try:
            return train(resuming=resuming or lost > 0, after_loss=lost > 0)
        except RankLostError as error:
            if stop.exit_code is not None:  # the signal that asked us to stop has reached the others too
                raise KeyboardInterrupt from error
            if lost >= restarts:
                raise
            say = partial(console.print, highlight=False, soft_wrap=True, markup=False, style="yellow")
            say(f"{error}\ngoing on from the last checkpoint, restart {lost + 1} of at most {restarts}")
    raise AssertionError("counts for ever")


def _train(
    config: Config,
    folder: RunFolder,
    console: Console,
    *,
    memory: PeakMemory,
    stop: StopSignal,
    resuming: bool,
    after_loss: bool,
) -> tuple[Parts, Summary]:
    parts = build(config, folder, after_loss=after_loss)
    try:
        for line in preflight(parts.scorer, sample_of(parts.validation), graded=config.verifier.kind == "python"):
            console.print(line, highlight=False, soft_wrap=True, markup=False, style="yellow")
        saved, done = _latest(parts, console, fall_back=config.checkpoints.fall_back) if resuming else (None, 0)
        with Progress(console, steps=config.train.steps, start=done) as progress:
            run = Run(parts, progress=progress, memory=memory, stop=stop)
            if resuming:
                run.resume(saved)
            folder.summary_file.unlink(missing_ok=True)  # of fewer steps: its presence says that a run is complete
            folder.write_config(to_yaml(config))  # now that it is known to work, and to fit what is resumed
            try:
                return parts, run.train()
            except (MemoryError, RuntimeError) as error:
                if ran_out(error):
                    raise out_of_memory(error, config, folder.path, parts.stopwatch.left) from error
                raise
            finally:  # a run that too many bad rows stopped says which they are, and any run where its time went
                run.record_quarantine()
                parts.write_profile()
    finally:
        parts.close()


def _what_is_lost(folder: RunFolder) -> str:
    """What to say after a stop at once."""
    if not folder.config_file.exists():
        return "stopped before the run began; nothing is lost"
    last = latest_checkpoint(folder.checkpoints)
    since = f"{last} was saved" if last else "the start, as no checkpoint was saved yet,"
    return f"stopped at once: what was done since {since} is lost. Go on with: rethinker train --resume {folder.path}"


def _latest(parts: Parts, console: Console, *, fall_back: bool) -> tuple[tuple[Path, State] | None, int]:
    """Folder and state of the last checkpoint, and its step; (None, 0) where there is none yet."""
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False, style="yellow")
    found = parts.checkpoints.load_latest(fall_back=fall_back, say=say)
    if found is None:
        return None, 0
    path, state, meta = found
    if meta.step >= parts.cadence.steps and parts.folder.summary_file.exists():
        raise CheckpointError(
            f"the run {parts.folder.path} is complete: its last checkpoint is step {meta.step} of "
            f"train.steps={parts.cadence.steps}; raise train.steps to train on"
        )
    return (path, state), meta.step


def sample_of(source: ProblemSource) -> list[Problem]:
    """Some readable problems of a source.

    Raises:
        DatasetError: none can be read.
    """
    problems: list[Problem] = []
    reason = "it has no rows"
    for row in range(min(len(source), PREFLIGHT_PROBLEMS)):
        try:
            problems.append(source[row])
        except DataError as error:
            reason = str(error)
    if not problems:
        raise DatasetError(f"no held-out problem can be read: {reason}")
    return problems


def quieten() -> None:
    """Keep the libraries' chatter off the console; what matters is reported by name elsewhere."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("transformers", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")


def show(console: Console, parts: Parts, summary: Summary) -> None:
    """Print what the run achieved, what was left out, and where it lies."""
    folder, aside, dropped = parts.folder, len(parts.quarantine), parts.record.dropped
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(f"{summary.problems:,} held-out problems, greedy")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    table.add_row(
        "accuracy (95 % interval)",
        _with_interval(summary.accuracy_before, summary.accuracy_before_interval),
        _with_interval(summary.accuracy_after, summary.accuracy_after_interval),
    )
    table.add_row("spontaneous rethinking", f"{summary.rethinking_before:.1%}", f"{summary.rethinking_after:.1%}")
    table.add_row("second look wrong → right", "", f"{summary.wrong_to_right:.1%}")
    table.add_row("second look right → wrong", "", f"{summary.right_to_wrong:.1%}")
    console.print()
    console.print(table)
    say = partial(console.print, highlight=False, soft_wrap=True)
    say(f"\nmixed groups over time   {_mixed_over_time(folder)}")
    say(f"time and peak memory     {duration(summary.seconds)}, {gigabytes(summary.peak_memory_bytes)}")
    if aside:
        say(f"{aside} rows set aside, see {folder.quarantine_file}", style="yellow")
    if dropped:
        say(f"the responses of {dropped} steps were not kept, for want of room (rollouts.keep)")
    say(f"run                      {folder.path}")
    say(f"report                   {folder.report_file}")


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.1%} ({interval[0]:.1%} – {interval[1]:.1%})"


def _mixed_over_time(folder: RunFolder, points: int = 8) -> str:
    """The share of mixed groups, averaged over equal stretches of the run."""
    shares = [row["groups/mixed"] for row in read_metrics(folder.metrics_file) if row.get("groups/mixed") is not None]
    size = -(-len(shares) // points) if shares else 1
    stretches = [list(islice(shares, start, start + size)) for start in range(0, len(shares), size)]
    return " → ".join(f"{sum(part) / len(part):.0%}" for part in stretches)
