"""How far an engine may be from the learner: beyond a bound its samples are another policy's."""

from __future__ import annotations

from rethinker.errors import RethinkerError
from rethinker.types import Metrics


def refuse_gap(metrics: Metrics, bound: float) -> None:
    """Stop where the mean |learner − engine| log-prob after a sync is beyond `bound` (nats).

    One that is no number comes of an update that is skipped and counted.

    Args:
        metrics: With `policy/engine_gap_mean` and `policy/engine_gap_max`.
        bound: `engine.max_gap`.

    Raises:
        RethinkerError: it is.
    """
    mean, largest = metrics["policy/engine_gap_mean"].value, metrics["policy/engine_gap_max"].value
    if mean is None or not mean > bound:
        return
    raise RethinkerError(
        f"the engine's log-probs are {mean:.3g} nats from the learner's on average (at most {largest:.3g}), beyond "
        f"engine.max_gap={bound:g}. Likely causes: the engine computes in another type (engine.dtype, model.dtype); a "
        "weight did not reach it, or a cache of the old ones was kept (compare the gap of the first step with later "
        "ones); its image processor has other settings (model.min_pixels, model.max_pixels); or its version computes "
        "this model otherwise (engine.kind=torch tells)"
    )
