"""Bytes and seconds as people read them."""

from __future__ import annotations


def gigabytes(count: float) -> str:
    """A byte count in GB of 10⁹ bytes, or MB when smaller."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"


def duration(seconds: float) -> str:
    """Minutes and seconds; from an hour on, hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
