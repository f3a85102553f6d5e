"""`report.html`: a run's outcome and its curves in one file that needs no network, no script and no other file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from rethinker.errors import RunFolderError
from rethinker.runs.curves import DASHES, Rows, draw, drawn
from rethinker.runs.files import write_atomically
from rethinker.runs.panels import PANELS, Axis, Panel, Series
from rethinker.runs.report_style import STYLE
from rethinker.runs.trackers import read_metrics
from rethinker.units import duration, gigabytes

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_report(folder: Path) -> Path:
    """Write `<folder>/report.html` from its `metrics.jsonl`, `summary.json` and `config.yaml`, whichever are there.

    Raises:
        RunFolderError: a file is damaged, or the report cannot be written.
    """
    rows = read_metrics(folder / "metrics.jsonl")
    config = folder / "config.yaml"
    page = _page(
        title=folder.resolve().name,
        rows=rows,
        summary=_summary(folder / "summary.json"),
        config=config.read_text() if config.exists() else "",
    )
    path = folder / "report.html"
    write_atomically(path, page)
    return path


def _summary(path: Path) -> Mapping[str, Any] | None:
    if not path.exists():
        return None
    try:
        summary = json.loads(path.read_bytes())
    except ValueError as error:
        raise RunFolderError(f"{path} is no JSON: {error}; remove it and write the report again") from error
    return summary if isinstance(summary, dict) else None


def _page(*, title: str, rows: Rows, summary: Mapping[str, Any] | None, config: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="muted">{_extent(rows)}</p>
</header>
<main>
{_outcome(summary) if summary else "<p>The run has not ended: there is no summary yet.</p>"}
{_curves(rows)}
{_details(config)}
</main>
</body>
</html>
"""


def _extent(rows: Rows) -> str:
    if not rows:
        return "No step was logged yet."
    return f"Steps {rows[0]['step']:.0f} to {rows[-1]['step']:.0f}"


# ---- outcome -----------------------------------------------------------------------------------------------------


def _outcome(summary: Mapping[str, Any]) -> str:
    rows = [
        _before_after("Accuracy", "held-out problems, greedy; 95 % interval", summary, "accuracy"),
        _before_after("Looks twice unasked", "share of held-out responses", summary, "rethinking"),
    ]
    facts = [
        ("Wrong → right by a second look", _percent(summary.get("wrong_to_right"))),
        ("Right → wrong by a second look", _percent(summary.get("right_to_wrong"))),
        ("Wall time", _in_words(summary.get("seconds"), duration)),
        ("Peak memory", _in_words(summary.get("peak_memory_bytes"), gigabytes)),
    ]
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return (
        '<table><thead><tr><th></th><th scope="col">Before</th><th scope="col">After</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table><dl>{items}</dl>"
    )


def _before_after(title: str, note: str, summary: Mapping[str, Any], name: str) -> str:
    cells = "".join(
        f"<td>{_figure(summary.get(f'{name}_{when}'), summary.get(f'{name}_{when}_interval'))}</td>"
        for when in ("before", "after")
    )
    return f'<tr><th scope="row">{title}<span class="muted">{note}</span></th>{cells}</tr>'


def _figure(value: float | None, interval: list[float] | None) -> str:
    """A share, and under it its 95 % interval in words and on a rule from 0 to 100 %."""
    figure = f"<strong>{_percent(value)}</strong>"
    if value is None or interval is None:
        return figure
    low, high = interval
    return (
        f'{figure}<span class="interval" aria-hidden="true">'
        f'<i style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></i><b style="left:{100 * value:.2f}%"></b>'
        f'</span><span class="muted">{100 * low:.1f} to {100 * high:.1f} %</span>'
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _in_words(value: float | None, words: Callable[[float], str]) -> str:
    return "–" if value is None else words(value)


# ---- curves ------------------------------------------------------------------------------------------------------


def _curves(rows: Rows) -> str:
    shown = [panel for panel in PANELS if any(drawn(axis, rows) for axis in panel.axes)]
    missing = [panel.title for panel in PANELS if panel not in shown]
    figures = "\n".join(_card(panel, rows, name=f"p{number}") for number, panel in enumerate(shown))
    absent = f'<p class="muted">Not measured in this run: {escape(", ".join(missing))}.</p>' if missing else ""
    how = "From 40 steps on, the faint line is each step and the strong one the mean of the last twentieth."
    head = f'<h2 class="section">Curves</h2><p class="muted">{how}</p>' if shown else ""
    return f'{head}<div class="panels">{figures}</div>{absent}'


def _card(panel: Panel, rows: Rows, *, name: str) -> str:
    return (
        f"<figure><figcaption><h2>{escape(panel.title)}</h2><p>{escape(panel.note)}</p></figcaption>"
        f"{_legend(panel, rows)}{draw(panel, rows, name=name)}</figure>"
    )


def _legend(panel: Panel, rows: Rows) -> str:
    """What is drawn, each with a piece of its line; stacks in their order from below."""
    marks = [
        (_mark(series, axis, number), series.label)
        for axis in panel.axes
        for number, series in enumerate(drawn(axis, rows))
    ]
    items = (
        f'<li><svg viewBox="0 0 22 10" aria-hidden="true">{mark}</svg>{escape(label)}</li>' for mark, label in marks
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _mark(series: Series, axis: Axis, number: int) -> str:
    colour = f"var(--c{series.colour})"
    if axis.stacked:
        return f'<rect width="12" height="10" x="5" rx="2" fill="{colour}"/>'
    if series.sparse:
        return f'<circle cx="11" cy="5" r="4" fill="{colour}"/>'
    width = 2.2
    dashes = " ".join(f"{width * length:.1f}" for length in DASHES[number % len(DASHES)])
    return f'<line x2="22" y1="5" y2="5" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"/>'


def _details(config: str) -> str:
    if not config:
        return ""
    return f"<details><summary>Resolved configuration</summary><pre>{escape(config)}</pre></details>"
