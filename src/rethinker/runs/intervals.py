"""Confidence intervals of shares."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Wilson score interval (95 %) of a share, as fractions; sound near 0 and 1 and for few trials, unlike p ± 2 s.e.

    With no trials it is (0, 1). Source: Wilson, JASA 22 (1927).
    """
    assert 0 <= successes <= count, (successes, count)
    if count == 0:
        return 0.0, 1.0
    share = successes / count
    scale = 1 + Z_95**2 / count
    centre = (share + Z_95**2 / (2 * count)) / scale
    half = Z_95 / scale * math.sqrt(share * (1 - share) / count + Z_95**2 / (4 * count**2))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == count else min(1.0, centre + half)
    return low, high
