"""The report is one file, needs nothing, hides nothing it lacks, and lets no text become markup."""

import json
import re
from html.parser import HTMLParser

import pytest

from rethinker.errors import RunFolderError
from rethinker.runs.curves import describe, draw, points, running_mean
from rethinker.runs.panels import PANELS
from rethinker.runs.report import write_report
from rethinker.runs.trackers import JsonlTracker

VOID = {"meta", "br", "link", "img"}
METRICS = [series.metric for panel in PANELS for axis in panel.axes for series in axis.series]
SUMMARY = {
    "accuracy_before": 0.312,
    "accuracy_after": 0.604,
    "accuracy_before_interval": [0.284, 0.341],
    "accuracy_after_interval": [0.573, 0.634],
    "rethinking_before": 0.031,
    "rethinking_after": 0.338,
    "wrong_to_right": 0.052,
    "right_to_wrong": 0.011,
    "seconds": 541.0,
    "peak_memory_bytes": 1_420_000_000,
}


class Page(HTMLParser):
    """Checks nesting, and collects tags, ids, labels and visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.ids, self.labels, self.text = [], [], [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_startendtag(self, tag, attributes):
        self.note(tag, dict(attributes))

    def handle_starttag(self, tag, attributes):
        self.note(tag, dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def note(self, tag, found):
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.labels += [found["aria-label"]] if "aria-label" in found else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


def log(folder, steps=3, **extra) -> None:
    tracker = JsonlTracker(folder / "metrics.jsonl")
    for step in range(1, steps + 1):
        tracker.log(step, dict.fromkeys(METRICS, 0.1 * step) | extra)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> str:
    """The report of a run with every metric; drawn once, since fourteen charts take seconds."""
    folder = tmp_path_factory.mktemp("run")
    log(folder)
    (folder / "summary.json").write_text(json.dumps(SUMMARY))
    return write_report(folder).read_text()


def test_whole_report_is_one_well_formed_file_that_needs_nothing(report):
    page = Page(report)
    assert page.tags.count("figure") == len(PANELS)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "default-src 'none'" in report
    assert not re.search(r"""(?:src|href)=["'](?!#)|url\((?!#)|@import|https?:""", report)


def test_ids_of_the_charts_do_not_collide_and_resolve(report):
    page = Page(report)
    assert len(page.ids) == len(set(page.ids))
    used = re.findall(r"url\(#([^)]+)\)", report) + re.findall(r'href="#([^"]+)"', report)
    assert used
    assert set(used) <= set(page.ids)


def test_outcome_is_shown_with_its_intervals(report):
    text = Page(report).text
    for figure in ("31.2 %", "60.4 %", "28.4 to 34.1 %", "3.1 %", "33.8 %", "5.2 %", "1.1 %", "9 min 01 s", "1.42 GB"):
        assert figure in text


def test_colours_are_the_pages_in_light_and_dark(report):
    charts = report[report.index("<main>") :]
    assert not re.search(r"#[0-9a-f]{6}", charts)
    assert "prefers-color-scheme: dark" in report


def test_every_chart_says_in_words_what_it_shows(report):
    labels = Page(report).labels
    assert len(labels) == len(PANELS)
    assert "Chart, Entropy: entropy 0.1 at step 1, 0.3 at step 3." in labels


def test_same_run_gives_the_same_bytes():
    rows = [{"step": step, "groups/mixed": 0.5, "policy/entropy": 0.1 * step} for step in (1, 2)]
    panel = next(panel for panel in PANELS if panel.title == "Entropy")
    assert draw(panel, rows, name="p") == draw(panel, rows, name="p")


def test_text_never_becomes_markup(tmp_path):
    folder = tmp_path / "a<script>b&"
    folder.mkdir()
    (folder / "config.yaml").write_text("question: </pre><script>alert(1)</script>")
    page = Page(write_report(folder).read_text())
    assert "script" not in page.tags
    assert "a<script>b&" in page.text
    assert "</pre><script>alert(1)</script>" in page.text


def test_run_without_a_step_still_has_a_report(tmp_path):
    page = Page(write_report(tmp_path).read_text())
    assert "No step was logged yet" in page.text
    assert "there is no summary yet" in page.text
    assert "Not measured in this run: Reward and accuracy" in page.text


def test_metrics_that_are_missing_or_null_are_named_not_drawn(tmp_path):
    tracker = JsonlTracker(tmp_path / "metrics.jsonl")
    tracker.log(1, {"reward/mean": 0.5, "policy/entropy": None, "groups/mixed": None})
    tracker.log(2, {"reward/mean": None, "policy/loss": float("nan")})
    page = Page(write_report(tmp_path).read_text())
    assert page.tags.count("figure") == 1
    missing = re.search(r"Not measured in this run: (.*)\.", page.text)[1].split(", ")
    assert missing == [panel.title for panel in PANELS[1:]]


def test_summary_with_gaps_shows_dashes(tmp_path):
    (tmp_path / "summary.json").write_text('{"accuracy_after": 0.5}')
    page = Page(write_report(tmp_path).read_text())
    assert "50.0 %" in page.text
    assert "–" in page.text


def test_damaged_summary_is_a_clear_error(tmp_path):
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"summary\.json is no JSON"):
        write_report(tmp_path)


def test_exact_agreement_of_engine_and_learner_can_be_drawn():
    panel = next(panel for panel in PANELS if panel.title == "Engine against learner")
    rows = [{"step": step, "policy/engine_gap_mean": 0.0, "policy/engine_gap_max": 0.0} for step in (1, 2)]
    assert draw(panel, rows, name="p").startswith('<svg class="chart" role="img"')
    assert "mean 0 at step 1" in describe(panel, rows)


def test_points_skip_steps_without_a_value():
    rows = [{"step": 1, "a": 2}, {"step": 2, "a": None}, {"step": 3}, {"step": 4, "a": 0}]
    assert points(rows, "a") == ([1.0, 4.0], [2.0, 0.0])


def test_running_mean_looks_back_only():
    values = [float(index) for index in range(60)]
    means = running_mean(values)
    assert means[:3] == [0.0, 0.5, 1.0]
    assert means[-1] == pytest.approx(58.0)
