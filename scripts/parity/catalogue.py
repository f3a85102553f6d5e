"""All benchmarks with real predictions at hand."""

from __future__ import annotations

from collections.abc import Callable

from scripts.parity import GivenFile, emma, mathvision, mathvista, mmmu, mmmu_pro

GIVEN: dict[str, Callable[[], list[GivenFile]]] = {
    "mathvista": mathvista.given,
    "mathvision": mathvision.given,
    "mmmu": mmmu.given,
    "mmmu_pro": mmmu_pro.given,
    "emma": emma.given,
}
"""Benchmark → its files."""
