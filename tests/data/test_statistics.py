from __future__ import annotations

import json
from pathlib import Path

from tests.data.making_images import png
from tests.data.virl_rows import RATES, virl_row, write_virl

from rethinker.data.opening import open_source
from rethinker.data.statistics import describe, histogram
from rethinker.data.tables import open_table


def test_counts_are_of_readable_rows_and_the_rest_is_counted_apart(tmp_path: Path) -> None:
    rows = [virl_row(number, rate) for number, rate in enumerate(RATES)]
    rows[1]["image"], rows[2]["image"], rows[2]["question"] = ["images/none.png"], [], "What is 1 + 1?"
    file = write_virl(tmp_path, rows)
    found = describe(open_source(file), open_table(file), workers=2)
    assert (found.rows, found.unreadable) == (6, 1)
    assert found.categories == {"Charts": 3, "Geometry": 2}
    assert found.answer_kinds == {"number": 5}
    assert found.images_per_row == {"1": 4, "0": 1}
    assert found.pass_rates["PassRate_7BBase"] == {
        "unknown": 1,
        "0": 1,
        "0 < r < ¼": 1,
        "¼ ≤ r < ½": 0,
        "½ ≤ r < ¾": 1,
        "¾ ≤ r < 1": 1,
        "1": 1,
    }
    assert found.quantiles["image width"]["least"] == 40
    assert found.quantiles["image height"]["most"] == 30
    assert found.quantiles["question length"]["least"] == len("What is 1 + 1?")


def test_pixels_are_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(png(8, height=200, width=300)[:60])
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "?", "answer": "1", "image": "cut.png"}))
    found = describe(open_source(tmp_path / "rows.jsonl"), open_table(tmp_path / "rows.jsonl"), workers=1)
    assert found.quantiles["image width"]["median"] == 300
    assert found.pass_rates == {}


def test_a_data_set_without_images_has_no_image_sizes(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "?", "answer": "1"}\n')
    found = describe(open_source(tmp_path / "rows.jsonl"), open_table(tmp_path / "rows.jsonl"), workers=1)
    assert found.quantiles["image width"] == {}


def test_the_ends_of_a_histogram_stand_alone() -> None:
    counted = histogram([0, 0.0, 1, 0.25, 0.999, float("nan"), -1])
    assert list(counted.values()) == [2, 2, 0, 1, 0, 1, 1]
    assert sum(counted.values()) == 7
