"""Draw the README's picture from a finished run: `python scripts/draw_demo.py RUN docs/results/demo.png`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rethinker.runs.trackers import read_metrics

BLUE, ORANGE, GREEN, GREY = "#0b66c3", "#d4670b", "#2a8f57", "#9aa5b1"
WINDOW = 5

Rows = Sequence[dict[str, Any]]


def draw(run: Path, target: Path) -> None:
    """Accuracy before and after with the reward between, second looks, and the groups that teach."""
    rows = read_metrics(run / "metrics.jsonl")
    summary = json.loads((run / "summary.json").read_text())
    figure = Figure(figsize=(11, 3.3), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    accuracy, looks, groups = figure.subplots(1, 3)
    _line(accuracy, rows, "reward/mean", BLUE, "reward, sampled")
    _points(accuracy, rows, "eval/accuracy", GREEN, "accuracy, validation, greedy")
    for step, when in ((0, "before"), (rows[-1]["step"], "after")):
        value, (low, high) = summary[f"accuracy_{when}"], summary[f"accuracy_{when}_interval"]
        error = [[100 * (value - low)], [100 * (high - value)]]
        label = "accuracy, test, 95 %" if step == 0 else None
        accuracy.errorbar([step], [100 * value], yerr=error, fmt="s", color=ORANGE, capsize=4, ms=5, label=label)
    _line(looks, rows, "rethink/spontaneous", BLUE, "look twice by themselves")
    _line(looks, rows, "rethink/wrong_to_right", GREEN, "wrong → right")
    _line(looks, rows, "rethink/right_to_wrong", ORANGE, "right → wrong")
    _line(groups, rows, "groups/mixed", BLUE, "mixed")
    _line(groups, rows, "groups/all_correct", GREEN, "all right")
    _line(groups, rows, "groups/all_wrong", ORANGE, "all wrong")
    for axes, title in ((accuracy, "Better"), (looks, "Looks twice"), (groups, "Groups: advantages vanish")):
        _finish(axes, title)
    figure.savefig(target)


def _line(axes: Axes, rows: Rows, name: str, colour: str, label: str) -> None:
    """A running mean over a few episodes, the episodes themselves faint."""
    pairs = [(row["step"], 100 * row[name]) for row in rows if row.get(name) is not None]
    steps, values = [step for step, _ in pairs], [value for _, value in pairs]
    smooth = [sum(part) / len(part) for i in range(len(values)) for part in [values[max(0, i - WINDOW + 1) : i + 1]]]
    axes.plot(steps, values, color=colour, alpha=0.2, linewidth=1)
    axes.plot(steps, smooth, color=colour, linewidth=2, label=label)


def _points(axes: Axes, rows: Rows, name: str, colour: str, label: str) -> None:
    pairs = [(row["step"], 100 * row[name]) for row in rows if row.get(name) is not None]
    axes.plot(*zip(*pairs, strict=True), "o", color=colour, ms=5, label=label)


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_ylim(0, 100)
    axes.set_ylabel("%")
    axes.set_xlabel("step")
    axes.grid(axis="y", color="#e3e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
