"""The learning-rate schedule: linear warm-up, then a cosine to a share of the peak."""

from __future__ import annotations

import math


def lr_at(step: int, *, peak: float, steps: int, warmup: float, final: float) -> float:
    """Learning rate of update `step` (from 1) of `steps`.

    Args:
        peak: Highest rate.
        warmup: Share of the steps during which the rate rises; the first update already moves.
        final: The cosine ends at this share of the peak (the release: one half).
    """
    rising = warmup * steps
    if step <= rising:
        return peak * step / math.ceil(rising)
    progress = min(1.0, (step - rising) / max(1.0, steps - rising))
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))
