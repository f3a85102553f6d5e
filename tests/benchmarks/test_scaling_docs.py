"""The page on many GPUs is what the model and the results say, and its errors are what it says they are."""

import json
from pathlib import Path

import pytest
from scripts import write_scaling_docs as docs

import processes
import published_runs


def test_the_page_is_up_to_date() -> None:
    assert docs.PAGE.read_text(encoding="utf-8") == docs.document(), "run `python -m scripts.write_scaling_docs`"


def test_the_runs_it_was_fitted_on_are_met_and_the_others_nearly() -> None:
    easyr1, _ = published_runs.rows()
    assert [row["error"] == "fitted" for row in easyr1] == [True, True] + [False] * (len(easyr1) - 2)
    for row in easyr1:
        fitted, newest = row["error"] == "fitted", row["what"].startswith("0.3.2")
        assert row["predicted_mfu"] == pytest.approx(row["mfu"], rel=0.02 if fitted else 0.27)
        assert row["predicted_s"] == pytest.approx(row["seconds"], rel=0.03 if fitted else 0.11 if newest else 0.30)
        assert row["predicted_throughput"] == pytest.approx(
            row["throughput"] * row["seconds"] / row["predicted_s"], 1e-3
        )


def test_the_paper_is_missed_and_the_page_says_by_how_much() -> None:
    _, paper = published_runs.rows()
    assert all(row["predicted_h"] < 0.6 * row["hours"] for row in paper)
    page = " ".join(docs.document().split())
    assert f"the model is {1 - max(row['predicted_h'] for row in paper) / 60:.0%} to" in page


def test_every_error_of_the_processes_is_shown() -> None:
    report = json.loads(Path(docs.ROOT / "docs" / "results" / "processes.json").read_text(encoding="utf-8"))
    assert [(row["processes"], row["together"]) for row in report["rows"]] == [
        (count, rows) for count in (1, 2, 4) for rows in processes.SIZES
    ]
    assert processes.rows(report["worlds"]) == report["rows"]
    assert processes.tables(report) in docs.document()


def test_two_processes_are_predicted_from_the_constants_of_one() -> None:
    one = {"processes": 1, "rate": 1e11, "bandwidth": 1.0, "call_s": 0.0, "update_s": {"2": 1.1, "8": 0.8}}
    two = one | {"processes": 2, "bandwidth": 1e12}
    found = processes.rows([one, two])
    assert [row["predicted_s"] for row in found[:2]] == pytest.approx([1.1, 0.8])
    assert [row["predicted_s"] for row in found[2:]] == pytest.approx([0.55, 0.4], rel=0.01)
    slow = processes.rows([one, two | {"bandwidth": 1e8}])
    assert slow[2]["network_s"] == pytest.approx(4 * slow[3]["network_s"])
    assert slow[3]["network_s"] > 0.1
