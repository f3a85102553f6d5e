"""All benchmarks with real predictions at hand."""

from __future__ import annotations

from collections.abc import Callable

from scripts.parity import GivenFile, emma, mathvision

GIVEN: dict[str, Callable[[], list[GivenFile]]] = {"mathvision": mathvision.given, "emma": emma.given}
"""Benchmark → its files."""
