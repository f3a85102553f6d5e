"""A panel of curves as an inline SVG whose colours follow the page's theme.

Matplotlib draws in stand-in colours, which are then replaced by CSS variables; text stays text. Only `Figure` is used,
so no global plotting state is touched.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rethinker.runs.panels import Axis, Panel, Scale, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE_SIZE = 6
_INK, _FAINT = "#0000f1", "#0000f2"
_SERIES = tuple(f"#0000e{number}" for number in range(PALETTE_SIZE))
_VARIABLES = {_INK: "var(--muted)", _FAINT: "var(--grid)"} | {
    colour: f"var(--c{number})" for number, colour in enumerate(_SERIES)
}
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.6), (1.2, 1.2), (5, 1.5, 1.2, 1.5))
"""Dash patterns of the lines of one axis, in line widths, so that colour is never alone in telling them apart."""
_WIDTH, _HEIGHT, _LOWER = 420, 210, 90
_BINS = 48
_SMOOTH_FROM = 40

Rows = Sequence[Mapping[str, Any]]
"""Lines of `metrics.jsonl`."""


def points(rows: Rows, metric: str) -> tuple[list[float], list[float]]:
    """Steps and values of one metric, where it is a number."""
    found = [(float(row["step"]), float(row[metric])) for row in rows if row.get(metric) is not None]
    return [step for step, _ in found], [value for _, value in found]


def drawn(axis: Axis, rows: Rows) -> list[Series]:
    """The series of an axis that have a value to draw."""
    return [series for series in axis.series if points(rows, series.metric)[0]]


def draw(panel: Panel, rows: Rows, *, name: str) -> str:
    """Draw a panel as an `<svg>` element; `name` prefixes its ids, unique within a page.

    At least one series must have a value; axes without any are left out.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    axes = [axis for axis in panel.axes if drawn(axis, rows)]
    height = _HEIGHT + _LOWER * (len(axes) - 1)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10}):
        figure = Figure(figsize=(_WIDTH / 72, height / 72), layout="constrained")
        FigureCanvasSVG(figure)
        ratios = [_HEIGHT if index == 0 else _LOWER for index in range(len(axes))]
        charts = figure.subplots(len(axes), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
        for chart, axis in zip(charts, axes):
            _draw_axis(chart, axis, rows)
        _step_axis(charts[-1], rows)
        figure.align_ylabels()
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _inline(buffer.getvalue(), name=name, label=describe(panel, rows))


def describe(panel: Panel, rows: Rows) -> str:
    """The panel in words, for those who do not see it: first and last value of each series."""
    parts = []
    for series in (series for axis in panel.axes for series in drawn(axis, rows)):
        steps, values = points(rows, series.metric)
        parts.append(f"{series.label} {values[0]:.3g} at step {steps[0]:.0f}, {values[-1]:.3g} at step {steps[-1]:.0f}")
    return f"Chart, {panel.title}: {'; '.join(parts)}."


def _draw_axis(chart: Axes, axis: Axis, rows: Rows) -> None:
    if axis.stacked:
        _draw_stack(chart, axis, rows)
    else:
        for number, series in enumerate(drawn(axis, rows)):
            _draw_line(chart, series, rows, dashes=DASHES[number % len(DASHES)])
    _style(chart, axis)


def _draw_line(chart: Axes, series: Series, rows: Rows, *, dashes: tuple[float, ...]) -> None:
    style: Any = (0, dashes) if dashes else "-"
    steps, values = points(rows, series.metric)
    colour = _SERIES[series.colour]
    if series.sparse or len(steps) == 1:
        chart.plot(steps, values, color=colour, linewidth=1.4, marker="o", markersize=4.5, zorder=4)
    elif not series.smooth or len(steps) < _SMOOTH_FROM:
        chart.plot(steps, values, color=colour, linewidth=1.6, linestyle=style)
    else:
        chart.plot(steps, values, color=colour, linewidth=0.8, alpha=0.3)
        chart.plot(steps, running_mean(values), color=colour, linewidth=1.8, linestyle=style)


def running_mean(values: Sequence[float]) -> list[float]:
    """Mean of each value and those before it, a twentieth of the series at most."""
    window = max(2, len(values) // 20)
    return [sum(part) / len(part) for part in (values[max(0, i + 1 - window) : i + 1] for i in range(len(values)))]


def _draw_stack(chart: Axes, axis: Axis, rows: Rows) -> None:
    """Bars of means over runs of steps: where a part happens in some steps only, areas between them would lie."""
    metrics = [series.metric for series in axis.series]
    present = [row for row in rows if any(row.get(metric) is not None for metric in metrics)]
    size = -(-len(present) // _BINS)
    bins = [present[start : start + size] for start in range(0, len(present), size)]
    starts = [float(part[0]["step"]) for part in bins]
    usual = starts[1] - starts[0] if len(starts) > 1 else 1.0
    widths = [after - before for before, after in pairwise(starts)] + [usual]
    base = [0.0] * len(bins)
    for series in axis.series:
        means = [sum(row.get(series.metric) or 0.0 for row in part) / len(part) for part in bins]
        colour = _SERIES[series.colour]
        # An edge of the bar's own colour closes the hairlines between neighbours.
        chart.bar(starts, means, width=widths, bottom=base, align="edge", color=colour, edgecolor=colour, linewidth=0.5)
        base = [low + mean for low, mean in zip(base, means)]


def _style(chart: Axes, axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    for side, spine in chart.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_FAINT)
    chart.grid(axis="y", color=_FAINT, linewidth=0.7)
    chart.set_axisbelow(True)
    chart.tick_params(colors=_INK, labelsize=10, length=0, pad=5)
    chart.set_ylabel(axis.unit, color=_INK, fontsize=10)
    if axis.scale is Scale.LOG:
        _logarithmic(chart)
        return
    chart.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    if axis.scale is Scale.SHARE:
        chart.set_ylim(0, 1)
    elif axis.scale is not Scale.FREE:
        chart.set_ylim(0, max(chart.get_ylim()[1], 1e-9))
    match axis.scale:
        case Scale.SHARE | Scale.SMALL_SHARE:
            chart.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        case Scale.GIGABYTES:
            chart.yaxis.set_major_formatter(lambda value, _: f"{value / 1e9:.3g}")
        case _:
            chart.yaxis.set_major_formatter(lambda value, _: _short(value))


def _short(value: float) -> str:
    """Four digits, exponents without padding (5e−6), a real minus sign."""
    return re.sub(r"e([-+])0*", lambda match: "e" + match[1].strip("+"), f"{value:.4g}").replace("-", "−")


def _logarithmic(chart: Axes) -> None:
    """A log axis if anything is above zero (exact agreement is a gap of 0, and has no place on it)."""
    from matplotlib.ticker import LogLocator

    if chart.dataLim.y1 > 0:
        chart.set_yscale("log")
        chart.yaxis.set_major_locator(LogLocator(numticks=5))
        chart.minorticks_off()
    chart.yaxis.set_major_formatter(lambda value, _: _short(value))


def _step_axis(chart: Axes, rows: Rows) -> None:
    from matplotlib.ticker import MaxNLocator

    last = max(float(row["step"]) for row in rows)
    chart.set_xlim(0, last * 1.01 + 0.5)
    chart.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    chart.set_xlabel("step", color=_INK, fontsize=10)


def _inline(svg: str, *, name: str, label: str) -> str:
    """Cut a stand-alone SVG down to an element of a page, whose ids, fonts, colours and size are the page's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'url\(#|href="#', lambda match: f"{match[0]}{name}-", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub("|".join(_VARIABLES), lambda match: _VARIABLES[match[0]], svg)
    head = f'<svg class="chart" role="img" aria-label="{escape(label, quote=True)}" viewBox='
    return re.sub(r"^<svg[^>]*?viewBox=(\"[^\"]*\")[^>]*>", rf"{head}\1>", svg, count=1)
