"""Record how the tiny model learns over several seeds: `python -m scripts.record_learning [--runs FOLDER]`.

A short run of the demo's recipe learns in a minute some of what the demo learns in four: rewards rise, second looks
become a habit, responses grow. Its curves over the seeds are kept in `tests/e2e/learning.json`; a test trains once more
and wants every window of every curve within the band of the seeds. So a change that makes the program learn otherwise
is seen, whether or not anything fails. Record anew when it is meant to learn otherwise, and say so in the log. Runs in
the folder that are finished are not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rethinker.runs.trackers import read_metrics

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests" / "e2e" / "learning.json"
PICTURE = ROOT / "docs" / "results" / "learning.png"
RECIPE = ROOT / "recipes" / "tiny.yaml"
SEEDS = range(12)
SETTINGS = (
    "device=cpu",
    "threads=1",
    "train.steps=32",
    "sampler.queries=16",
    "learner.lr=1e-4",
    "rethink.imitation_coefficient=0.5",
    "evaluation.every=0",
    "evaluation.validation_problems=1",
    "evaluation.test_problems=1",
    "checkpoints.every=32",
    "checkpoints.keep=1",
)
WINDOWS = 4
WIDE = 4.0
"""Half a band in standard deviations of a new seed: another machine's rounding is like another seed."""
LEAST = {
    "reward/mean": 0.02,
    "rethink/spontaneous": 0.02,
    "rethink/wrong_to_right": 0.02,
    "replay/effective": 0.02,
    "policy/entropy": 0.01,
    "policy/grad_norm": 0.02,
    "tokens/response": 1.0,
}
"""The curves, and the least standard deviation of each: twelve seeds may agree by chance."""

Curve = Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A window of a curve outside its band."""

    curve: str
    window: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        where = f"{self.curve} in window {self.window} of {WINDOWS}"
        return f"{where}: {self.value:.4g}, not {self.low:.4g} to {self.high:.4g}"


def train(folder: Path, seed: int) -> None:
    """Train into a folder, unless it holds that run already.

    Raises:
        subprocess.CalledProcessError: training failed; what it printed is in the error.
    """
    if not (folder / "summary.json").exists():
        command = [sys.executable, "-m", "rethinker", "train", RECIPE, *SETTINGS, f"seed={seed}", f"run.dir={folder}"]
        subprocess.run(command, check=True, capture_output=True, text=True)


def curves(run: Path) -> dict[str, Curve]:
    """Means over the windows of a run, each a quarter of its episodes.

    Raises:
        ValueError: a window without one value: nothing was measured.
    """
    rows = [row for row in read_metrics(run / "metrics.jsonl") if row.get("reward/mean") is not None]
    edges = [round(number * len(rows) / WINDOWS) for number in range(WINDOWS + 1)]
    return {name: [_mean(rows[low:high], name) for low, high in pairwise(edges)] for name in LEAST}


def _mean(rows: Sequence[Mapping[str, float | None]], name: str) -> float:
    values = [value for row in rows if (value := row.get(name)) is not None]
    if not values:
        raise ValueError(f"{name}: no value in {len(rows)} episodes; the run recorded nothing of it")
    return fmean(values)


def band(name: str, values: Sequence[float]) -> tuple[float, float]:
    """Where one more seed is expected: the seeds' mean, and `WIDE` deviations of a new value to both sides."""
    spread = max(stdev(values), LEAST[name]) * math.sqrt(1 + 1 / len(values))
    return fmean(values) - WIDE * spread, fmean(values) + WIDE * spread


def bands(seeds: Sequence[Mapping[str, Curve]]) -> dict[str, list[tuple[float, float]]]:
    """The band of every window of every curve."""
    return {name: [band(name, [each[name][window] for each in seeds]) for window in range(WINDOWS)] for name in LEAST}


def departures(found: Mapping[str, Curve], seeds: Sequence[Mapping[str, Curve]]) -> list[Departure]:
    """The windows where a run left the band of the recorded seeds; a value that is no number is outside."""
    return [
        Departure(curve=name, window=window + 1, value=value, low=low, high=high)
        for name, edges in bands(seeds).items()
        for window, (value, (low, high)) in enumerate(zip(found[name], edges, strict=True))
        if not low <= value <= high
    ]


def draw(seeds: Sequence[Mapping[str, Curve]], target: Path) -> None:
    """Every curve with its band."""
    figure = Figure(figsize=(11, 5), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    at = range(1, WINDOWS + 1)
    for axes, (name, edges) in zip(figure.subplots(2, 4).flat, bands(seeds).items(), strict=False):
        axes.fill_between(at, *zip(*edges, strict=True), color="#0b66c3", alpha=0.15, linewidth=0)
        for seed in seeds:
            axes.plot(at, seed[name], color="#0b66c3", alpha=0.5, linewidth=1)
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xticks(at)
        axes.set_xlabel("quarter of the run", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in figure.axes[len(LEAST) :]:
        axes.remove()
    figure.savefig(target, metadata={"Software": None})


def recorded() -> list[dict[str, Curve]]:
    """The curves of every seed, as they were recorded."""
    return list(json.loads(RECORD.read_text(encoding="utf-8"))["seeds"].values())


def main() -> None:
    """Train what is missing, write the record, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, help="folder of the runs, kept (default: a temporary one)")
    folder = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as aside:
        seeds = {}
        for seed in SEEDS:
            run = (folder or Path(aside)) / str(seed)
            train(run, seed)
            seeds[str(seed)] = {name: [round(value, 5) for value in curve] for name, curve in curves(run).items()}
    record = {"made_by": "python -m scripts.record_learning", "settings": SETTINGS, "seeds": seeds}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    draw(list(seeds.values()), PICTURE)


if __name__ == "__main__":
    main()
