from __future__ import annotations

import pytest

from rethinker.chips import chip_rate


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA GeForce RTX 4090", None),
        (None, None),
    ],
)
def test_a_chip_that_is_not_known_has_no_rate(name: str | None, rate: float | None) -> None:
    assert chip_rate(name) == rate
