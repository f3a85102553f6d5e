"""The paper's own numbers, in per cent: accuracy under greedy decoding, by its uniform protocol for boxed answers.

Source: "VL-Rethinker" (arXiv 2504.08837), camera-ready. MathVista, MathVerse: testmini. MathVision: test. MMMU:
validation. EMMA: all 2,788 questions. MEGA-Bench: the core tasks. MMMU-Pro: one number for the whole benchmark, which
none of its settings alone is.
"""

from __future__ import annotations

from collections.abc import Mapping

Accuracies = Mapping[str, float]
"""Benchmark → per cent."""


def _row(*values: float) -> Accuracies:
    return dict(zip(("mathvista", "mathverse", "mathvision", "mmmu_pro", "mmmu", "emma", "megabench"), values))


MODELS: Mapping[str, Accuracies] = {
    "Qwen2.5-VL-7B": _row(68.2, 46.3, 25.1, 36.9, 54.3, 21.5, 35.0),
    "VL-Rethinker-7B": _row(74.9, 54.2, 32.3, 41.7, 56.7, 29.7, 37.2),
    "VL-Rethinker-32B": _row(78.8, 56.9, 40.5, 50.6, 65.6, 37.9, 19.9),
    "VL-Rethinker-72B": _row(80.4, 63.5, 44.9, 55.9, 68.8, 38.5, 51.3),
}
"""Model → its accuracies."""

TEST_TIME: Mapping[str, Accuracies] = {
    "base": _row(72.35, 53.13, 29.75, 40.94),
    "forced on all": _row(72.90, 53.56, 30.49, 41.15),
    "oracle bound": _row(76.00, 55.14, 33.68, 42.51),
    "trained": _row(74.90, 54.19, 32.27, 41.69),
}
"""Way of answering → its accuracies; the base is the 7B model after stage 1, the trained one VL-Rethinker-7B."""
