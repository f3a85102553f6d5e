"""A small data set in ViRL39K's schema: a parquet file beside a folder of images, with every column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.data.making_images import png

RATES = (0.0, 0.125, 0.5, 1.0, -1.0, 0.875)
"""`PassRate_7BBase` of the rows."""


def virl_row(number: int, rate: float) -> dict[str, Any]:
    return {
        "question": f"<image>\nHow many of the red shapes stand left of shape number {number}?",
        "answer": f"\\boxed{{{number}}}",
        "PassRate_32BTrained": min(1.0, rate + 0.5) if rate >= 0 else rate,
        "PassRate_7BBase": rate,
        "category": ("Charts", "Geometry")[number % 2],
        "source": ("one set", "another set")[number // 3],
        "qid": f"set-{number}",
        "image": [f"images/{number}.png"],
    }


def write_virl(folder: Path, rows: Sequence[dict[str, Any]] | None = None) -> Path:
    """Write the rows, by default one per rate, and their images."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = rows if rows is not None else [virl_row(number, rate) for number, rate in enumerate(RATES)]
    for number in range(len(rows)):
        (folder / "images" / f"{number}.png").write_bytes(png(10 * number))
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / "rows.parquet", row_group_size=4)
    return folder / "rows.parquet"
