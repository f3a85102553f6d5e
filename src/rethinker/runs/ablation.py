"""What an ablation found: arms paired by seed, means and differences with t-intervals; JSON, Markdown, a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rethinker.runs.files import write_atomically
from rethinker.runs.trackers import read_metrics

_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""97.5 % quantiles of Student's t for 1 to 15 degrees of freedom; beyond, the normal's is used plus a little."""

FIGURES = {
    "accuracy": "held-out accuracy, greedy",
    "rethinking": "spontaneous rethinking",
    "wrong_to_right": "second look wrong → right",
    "effective": "effective batch (share of pairs with Â ≠ 0)",
    "mixed": "mixed groups",
    "tokens": "tokens generated",
    "seconds": "seconds",
}
_SHARES = frozenset({"accuracy", "rethinking", "wrong_to_right", "effective", "mixed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over seeds with its 95 % t-interval; the interval is None with fewer than two seeds."""

    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]


def estimate(values: Sequence[float], *, least: float = -math.inf, most: float = math.inf) -> Estimate:
    """Mean and t-interval of independent values; the interval is cut where no value can be."""
    mean, count = fmean(values), len(values)
    if count < 2:
        return Estimate(mean=mean, low=None, high=None, values=tuple(values))
    quantile = _T975[count - 2] if count - 2 < len(_T975) else 2.12
    half = quantile * stdev(values) / math.sqrt(count)
    return Estimate(mean=mean, low=max(least, mean - half), high=min(most, mean + half), values=tuple(values))


def run_figures(run: Path) -> dict[str, float]:
    """The figures of one finished run (keys of `FIGURES`)."""
    summary = json.loads((run / "summary.json").read_text())
    rows = read_metrics(run / "metrics.jsonl")
    return {
        "accuracy": summary["accuracy_after"],
        "rethinking": summary["rethinking_after"],
        "wrong_to_right": summary["wrong_to_right"],
        "effective": _mean(rows, "replay/effective"),
        "mixed": _mean(rows, "groups/mixed"),
        "tokens": sum(row.get("tokens/generated") or 0.0 for row in rows),
        "seconds": summary["seconds"],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """Arms in order of presentation.

    Attributes:
        arms: Arm → figure → estimate over seeds.
        runs: Arm → the names of its runs' folders, in the order of the seeds.
        differences: "later − earlier" → figure → estimate of the paired differences.
        start: Accuracy before training, the same for all.
        about: Machine, versions, date, recipe: for the reader of the result.
    """

    arms: Mapping[str, Mapping[str, Estimate]]
    runs: Mapping[str, Sequence[str]]
    differences: Mapping[str, Mapping[str, Estimate]]
    start: float
    about: Mapping[str, str]


def summarise(
    runs: Mapping[str, Sequence[Path]], *, contrasts: Sequence[tuple[str, str]], about: Mapping[str, str]
) -> Ablation:
    """Gather finished runs.

    Args:
        runs: Arm → its runs, in the order of the seeds, the same for every arm.
        contrasts: (later, earlier) arms whose paired difference is of interest.
    """
    found = {arm: [run_figures(run) for run in folders] for arm, folders in runs.items()}
    first = next(iter(runs.values()))[0]
    return Ablation(
        arms={
            arm: {
                name: estimate([each[name] for each in seeds], least=0.0, most=1.0 if name in _SHARES else math.inf)
                for name in FIGURES
            }
            for arm, seeds in found.items()
        },
        runs={arm: [folder.name for folder in folders] for arm, folders in runs.items()},
        differences={
            f"{later} − {earlier}": {
                name: estimate([a[name] - b[name] for a, b in zip(found[later], found[earlier], strict=True)])
                for name in FIGURES
            }
            for later, earlier in contrasts
        },
        start=json.loads((first / "summary.json").read_text())["accuracy_before"],
        about=about,
    )


def write(ablation: Ablation, folder: Path) -> None:
    """Write `ablation.json`, `ablation.md` and `ablation.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    document = asdict(ablation)
    write_atomically(folder / "ablation.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    write_atomically(folder / "ablation.md", markdown(ablation))
    _draw(ablation, folder / "ablation.png")


def markdown(ablation: Ablation) -> str:
    """The result as a page of tables."""
    lines = ["# Ablation", "", *(f"- {name}: {value}" for name, value in ablation.about.items())]
    lines += [f"- accuracy before training: {ablation.start:.1%}", "", "Means over seeds with 95 % t-intervals.", ""]
    lines += _table("arm", ablation.arms)
    lines += ["", "Paired differences, the same seeds on both sides; an interval without 0 is a difference.", ""]
    lines += _table("contrast", ablation.differences)
    return "\n".join([*lines, ""])


def _table(head: str, rows: Mapping[str, Mapping[str, Estimate]]) -> list[str]:
    lines = [f"| {head} | {' | '.join(FIGURES.values())} |", f"|---|{'---|' * len(FIGURES)}"]
    for name, figures in rows.items():
        cells = " | ".join(_cell(figure, figures[figure]) for figure in FIGURES)
        lines.append(f"| {name} | {cells} |")
    return lines


def _cell(figure: str, value: Estimate) -> str:
    def shown(number: float) -> str:
        return f"{100 * number:.1f} %" if figure in _SHARES else f"{number:,.0f}"

    if value.low is None or value.high is None:
        return shown(value.mean)
    return f"{shown(value.mean)} ({shown(value.low)} to {shown(value.high)})"


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    values = [row[name] for row in rows if row.get(name) is not None]
    return fmean(values) if values else 0.0


def _draw(ablation: Ablation, path: Path) -> None:
    """Accuracy and rethinking per arm: every seed a dot, the mean and its interval beside."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    for panel, name in zip(panels, ("accuracy", "rethinking", "effective"), strict=True):
        for place, figures in enumerate(ablation.arms.values()):
            value = figures[name]
            panel.plot([place - 0.12] * len(value.values), [100 * v for v in value.values], "o", color="#9aa5b1", ms=4)
            low, high = (value.mean if end is None else end for end in (value.low, value.high))
            reach = [[100 * (value.mean - low)], [100 * (high - value.mean)]]
            panel.errorbar(place + 0.12, 100 * value.mean, yerr=reach, fmt="s", color="#0b66c3", capsize=4, ms=6)
        if name == "accuracy":
            panel.axhline(100 * ablation.start, color="#c0392b", linewidth=1, linestyle="--")
            panel.annotate("before", (1.5, 100 * ablation.start), color="#c0392b", fontsize=8, va="bottom", ha="center")
        panel.set_title(FIGURES[name].split(" (")[0], fontsize=10, loc="left")
        labels = [arm.replace("GRPO-", "GRPO-\n").replace(" ", "\n") for arm in ablation.arms]
        panel.set_xticks(range(len(labels)), labels, fontsize=8)
        panel.set_xlim(-0.5, len(ablation.arms) - 0.5)
        panel.set_ylim(0, 100)
        panel.set_ylabel("%")
        panel.grid(axis="y", color="#e3e7eb", linewidth=0.8)
        panel.set_axisbelow(True)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    figure.savefig(path)
