"""What a chip can do, as its vendor states it."""

from __future__ import annotations

CHIPS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "H800": 989e12,
    "A100": 312e12,
    "A800": 312e12,
    "L20": 119.5e12,
}
"""Dense bf16 operations a second, by a part of the device's name; the first that fits."""


def chip_rate(name: str | None) -> float | None:
    """The stated bf16 rate of a device, None where it is not known."""
    return next((rate for part, rate in CHIPS.items() if name and part in name), None)
