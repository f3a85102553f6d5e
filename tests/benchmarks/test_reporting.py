from pathlib import Path

import pytest

from reporting import Bars, Column, Lines, draw, table


def test_a_table_has_a_line_per_row_and_a_dash_for_what_is_missing() -> None:
    columns = [Column(head="case", key="case"), Column(head="MB", key="bytes", unit=1e6, digits=1)]
    lines = table(columns, [{"case": "a", "bytes": 2_500_000}, {"case": "b", "bytes": None}]).splitlines()
    assert lines == ["| case | MB |", "| --- | --- |", "| a | 2.5 |", "| b | – |"]


def test_pictures_start_their_axes_at_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    figures = []
    saved = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), saved(self, *a, **k))[1])
    charts = [
        Bars(title="t", unit="s", places=["a", "b"], series={"ours": [5.0, 6.0], "trl": [9.0, None]}, notes=["1", "2"]),
        Lines(title="t", unit="s", over="n", at=[100, 200], series={"x": [50.0, 60.0]}),
    ]
    draw(charts, tmp_path / "a.png")
    (figure,) = figures
    bars, lines = figure.axes
    assert bars.get_ylim()[0] == lines.get_ylim()[0] == lines.get_xlim()[0] == 0
    assert bars.get_ylim()[1] >= 9
    assert [text.get_text() for text in bars.get_legend().get_texts()] == ["ours", "trl"]
    assert (bars.get_ylabel(), lines.get_xlabel()) == ("s", "n")


def test_nothing_to_draw_makes_no_picture(tmp_path: Path) -> None:
    draw([], tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
