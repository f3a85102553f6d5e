"""What every benchmark says in the same way: its arguments, the head of its result, Markdown tables and pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import machine
import yardstick
from rethinker.cores import usable_cores

COLOURS = ("#0b66c3", "#d4670b", "#2a8f57", "#9aa5b1")
INK, FAINT = "#57606a", "#e3e7eb"

Row = Mapping[str, Any]
"""A line of a table, as it stands in a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: its head, the key of its values, what they are divided by, and how many digits follow."""

    head: str
    key: str
    unit: float = 1.0
    digits: int | None = None

    def cell(self, row: Row) -> str:
        """The value as it is shown; a dash where there is none."""
        value = row.get(self.key)
        if value is None:
            return "–"
        return str(value) if self.digits is None else f"{value / self.unit:,.{self.digits}f}"


def table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Rows as Markdown."""
    lines = [[column.head for column in columns], ["---"] * len(columns)]
    lines += [[column.cell(row) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def parser(description: str, *, repeats: int, quick: str) -> argparse.ArgumentParser:
    """The arguments that all benchmarks take."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", type=Path, metavar="OUT", help="write the result there")
    made.add_argument("--picture", type=Path, metavar="OUT", help="draw it there, as PNG")
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--repeats", type=int, help=f"counted rounds ({repeats}; quick: 1)")
    made.add_argument("--threads", type=int, default=usable_cores())
    made.add_argument("--device", default="cpu", help="cpu (the default) or cuda")
    made.set_defaults(usual_repeats=repeats)
    return made


def parsed(made: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, with the number of rounds that belongs to them."""
    arguments = made.parse_args(argv)
    arguments.repeats = arguments.repeats or (1 if arguments.quick else arguments.usual_repeats)
    arguments.typed = list(sys.argv[1:] if argv is None else argv)
    return arguments


def head(benchmark: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The first lines of a result: the command, the machine, and how fast it is now."""
    repeats = 3 if arguments.quick else 15
    return {
        "benchmark": benchmark,
        "command": " ".join(["python", f"benchmarks/{benchmark}.py", *arguments.typed]),
        "machine": machine.record(),
        "device": arguments.device,
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "yardstick": asdict(yardstick.measure(threads=arguments.threads, repeats=repeats)),
    }


def write(report: Row, target: Path | None) -> None:
    """Write a result, where it was asked for."""
    if target:
        target.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A chart of bars side by side.

    Attributes:
        series: By name, one value per place; None draws nothing.
        notes: One above each place.
        line: A level to be seen, with its name.
    """

    title: str
    unit: str
    places: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    notes: Sequence[str] = ()
    line: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """A chart of lines over numbers, both axes from 0."""

    title: str
    unit: str
    over: str
    at: Sequence[float]
    series: Mapping[str, Sequence[float]]


def draw(charts: Sequence[Bars | Lines], target: Path | None) -> None:
    """Draw charts under one another, where a picture was asked for. All values are shown from 0."""
    if target is None or not charts:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    widest = max((len(chart.places) for chart in charts if isinstance(chart, Bars)), default=0)
    figure = Figure(figsize=(max(7.0, 1.15 * widest), 3.1 * len(charts)), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, chart in zip(figure.subplots(len(charts), 1, squeeze=False)[:, 0], charts, strict=True):
        if isinstance(chart, Bars):
            _bars(axes, chart)
        else:
            _lines(axes, chart)
        _finish(axes, chart)
    figure.savefig(target, metadata={"Software": None})


def _bars(axes: Any, chart: Bars) -> None:
    width = 0.8 / len(chart.series)
    for number, (name, values) in enumerate(chart.series.items()):
        shift = (number - (len(chart.series) - 1) / 2) * width
        held = [(place + shift, value) for place, value in enumerate(values) if value is not None]
        axes.bar([x for x, _ in held], [y for _, y in held], width, color=COLOURS[number % len(COLOURS)], label=name)
    for place, note in enumerate(chart.notes):
        top = max((values[place] or 0.0 for values in chart.series.values()), default=0.0)
        axes.annotate(note, (place, top), ha="center", va="bottom", fontsize=8, color=INK)
    if chart.line:
        axes.axhline(chart.line[0], color=INK, linewidth=1, linestyle=(0, (4, 3)), label=chart.line[1])
    axes.set_xticks(range(len(chart.places)), chart.places)


def _lines(axes: Any, chart: Lines) -> None:
    for number, (name, values) in enumerate(chart.series.items()):
        axes.plot(chart.at, values, color=COLOURS[number % len(COLOURS)], marker="o", ms=4, linewidth=1.8, label=name)
    axes.set_xlim(0, max(chart.at) * 1.04)
    axes.set_xlabel(chart.over, color=INK, fontsize=9)


def _finish(axes: Any, chart: Bars | Lines) -> None:
    axes.set_title(chart.title, loc="left", fontsize=11, pad=22 if len(chart.series) > 1 else 6)
    axes.set_ylabel(chart.unit, color=INK, fontsize=9)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.05)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    if len(chart.series) > 1 or (isinstance(chart, Bars) and chart.line):
        axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.3)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
