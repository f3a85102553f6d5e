"""The benchmarks' published files, beside the checkout; a test that reads them is skipped where they are not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

ASSETS = Path(__file__).parents[3] / "shared" / "assets"

needs_assets = pytest.mark.skipif(
    not ASSETS.is_dir(), reason="the benchmarks' published files are not beside the checkout"
)


def read_json(name: str) -> Any:
    path = ASSETS / name
    return json.loads(gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes())


def read_lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(ASSETS / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
