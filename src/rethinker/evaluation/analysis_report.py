"""The test-time analysis as a page of tables and a picture: accuracy against generated tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rethinker.evaluation import paper
from rethinker.evaluation.analysis import BASE, BOUNDS, EQUAL_ANY, EQUAL_VOTE, FORCED, ORACLE, TRAINED, Analysis, Way

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, GREY, INK = "#0b66c3", "#d4670b", "#2a8f57", "#9aa5b1", "#38434f"
COLOURS = {BASE: INK, FORCED: ORANGE, ORACLE: ORANGE, TRAINED: GREEN, EQUAL_VOTE: BLUE, EQUAL_ANY: BLUE}
"""Hollow marks are bounds; what has no colour here is the majority of all samples."""

COLUMNS = (
    "",
    "accuracy, 95 %",
    "gain, 95 %",
    "tokens",
    "gain per 100",
    "rethought",
    "wrong→right",
    "right→wrong",
)
MOST_ACROSS = 4


def markdown(analyses: Sequence[Analysis]) -> str:
    """A table per benchmark, what its words mean, and the paper's numbers where it has them."""
    lines = ["# Test-time analysis", "", "![accuracy and generated tokens](analysis.png)", ""]
    lines += [
        "Gains are over the base, in points, on the same questions (paired bootstrap over questions). Tokens are those "
        "generated per question; *gain per 100* is for so many beyond the base's. The oracle and *any right* know the "
        "answers: bounds, not methods.",
    ]
    for analysis in analyses:
        about = "".join(f", {name} {value}" for name, value in analysis.conditions.items())
        lines += ["", f"## {analysis.benchmark}", "", f"{analysis.questions:,} questions{about}.", ""]
        names = [*COLUMNS, *(["paper"] if _paper(analysis, BASE) else [])]
        lines += [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
        lines += [
            f"| {' | '.join([*figures(name, way), *_paper(analysis, name)])} |" for name, way in analysis.ways.items()
        ]
        lines += ["", *(f"- {note}" for note in notes(analysis))]
    return "\n".join([*lines, ""])


def figures(name: str, way: Way) -> list[str]:
    """One row of the table, by `COLUMNS`."""
    low, high = way.interval
    cells = [name, f"{way.accuracy:.1%} ({low:.1%} – {high:.1%})"]
    if way.gain is None:
        cells.append("")
    else:
        mean, (lower, upper) = way.gain
        cells.append(f"{100 * mean:+.1f} ({100 * lower:+.1f} – {100 * upper:+.1f})")
    cells += [f"{way.tokens:,.0f}", "" if way.per_100_tokens is None else f"{100 * way.per_100_tokens:+.2f}"]
    if way.transitions is None:
        return [*cells, "", "", ""]
    shares = (way.transitions.rethought, way.transitions.wrong_to_right, way.transitions.right_to_wrong)
    return [*cells, *(f"{share:.1%}" for share in shares)]


def _paper(analysis: Analysis, name: str) -> list[str]:
    benchmark = analysis.benchmark.split(" ")[0]
    if benchmark not in paper.TEST_TIME[BASE]:
        return []
    return [f"{paper.TEST_TIME[name][benchmark]:.2f} %" if name in paper.TEST_TIME else ""]


def notes(analysis: Analysis) -> list[str]:
    """What a reader must know beside the figures."""
    said = [
        f"{path}: {count:,} questions left out that not all have." for path, count in analysis.left_out.items() if count
    ]
    if analysis.capped is not None:
        said.append(f"Of the equal-token purchases {analysis.capped:.1%} took all the samples there are.")
    if analysis.moved:
        said.append(
            f"On {analysis.moved:,} questions the first answer under forcing has another verdict than the base's "
            "answer: not the same model, or not greedy."
        )
    return said


def draw(analyses: Sequence[Analysis], path: Path) -> None:
    """Accuracy with its interval against generated tokens per question, a panel per benchmark."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(MOST_ACROSS, len(analyses))
    down = -(-len(analyses) // across)
    figure = Figure(figsize=(max(6.0, 3.6 * across), 3.4 * down + 0.6), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, squeeze=False).flatten()
    for panel, analysis in zip(panels, analyses, strict=False):
        _panel(panel, analysis)
    for panel in panels[len(analyses) :]:
        panel.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.savefig(path)


def _panel(panel: Axes, analysis: Analysis) -> None:
    for name, way in analysis.ways.items():
        low, high = way.interval
        colour = COLOURS.get(name, GREY)
        panel.errorbar(
            [way.tokens],
            [100 * way.accuracy],
            yerr=[[100 * (way.accuracy - low)], [100 * (high - way.accuracy)]],
            fmt="o" if name not in BOUNDS else "D",
            color=colour,
            mfc="white" if name in BOUNDS else colour,
            ms=6,
            elinewidth=1,
            capsize=3,
            label=name,
        )
    panel.axhline(100 * analysis.ways[BASE].accuracy, color=GREY, linewidth=1, linestyle="--", zorder=0)
    panel.set_title(analysis.benchmark, loc="left", fontsize=11)
    panel.set_xscale("log")
    _plain_ticks(panel, [way.tokens for way in analysis.ways.values()])
    panel.set_xlabel("tokens generated per question")
    panel.set_ylabel("accuracy, %, with 95 %")
    panel.grid(axis="y", color="#e3e7eb", linewidth=0.8)
    panel.set_axisbelow(True)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _plain_ticks(panel: Axes, tokens: Sequence[float]) -> None:
    """Doublings as plain numbers."""
    ticks = [25 * 2**power for power in range(16) if min(tokens) / 1.5 <= 25 * 2**power <= 1.5 * max(tokens)]
    panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    panel.minorticks_off()
