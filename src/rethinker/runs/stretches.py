"""The stretches that a step is made of, in the order in which they come, and which span belongs to which."""

from __future__ import annotations

from dataclasses import dataclass

from rethinker.timing import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One kind of work of the main thread.

    Attributes:
        passes: Whether it is the model's own work, which can be made faster; the rest could be hidden or left out.
        seldom: Whether a setting says in which steps it is done.
        colour: Number of the page's colour, and how much of it: all, for light letters on it, or 50 at most, for dark.
    """

    name: str
    what: str
    passes: bool = False
    seldom: bool = False
    colour: tuple[int, int]


STRETCHES = (
    Stretch(name="prompts", what="problems read and encoded, where no thread did it ahead", colour=(0, 30)),
    Stretch(
        name="prefill", what="prompts and prefixes through the model, before sampling", passes=True, colour=(0, 50)
    ),
    Stretch(name="decode", what="one forward for each column of sampled tokens", passes=True, colour=(0, 100)),
    Stretch(name="generate", what="the rest of generation: rows come and go, text is decoded", colour=(0, 15)),
    Stretch(name="verify", what="waiting for verdicts that came after the last sample", colour=(3, 100)),
    Stretch(
        name="logprobs", what="log-probs in a pass of their own: behaviour, reference", passes=True, colour=(4, 100)
    ),
    Stretch(name="collate", what="experience cut into micro-batches and packed", colour=(1, 30)),
    Stretch(name="forward", what="the learner's forward, log-probs and entropy included", passes=True, colour=(1, 50)),
    Stretch(name="loss", what="the objective and its figures", colour=(1, 15)),
    Stretch(name="backward", what="gradients; recomputation, where there is any", passes=True, colour=(1, 100)),
    Stretch(name="optimiser", what="clipping and AdamW", passes=True, colour=(4, 45)),
    Stretch(name="sync", what="weights to the engine", seldom=True, colour=(2, 30)),
    Stretch(name="evaluate", what="validation, all of it", seldom=True, colour=(2, 50)),
    Stretch(name="checkpoint", what="state and model written to disk", seldom=True, colour=(2, 100)),
    Stretch(name="record", what="metrics, responses and memory, measured and written", colour=(2, 15)),
    Stretch(name="other", what="in none of these", colour=(5, 100)),
)

PASSES = frozenset(stretch.name for stretch in STRETCHES if stretch.passes)
SELDOM = frozenset(stretch.name for stretch in STRETCHES if stretch.seldom)

_SPANS = {"rethink": "generate", "update": "loss", "save": "checkpoint"}
"""What the rest of a span is called, where that is not its name."""


def stretch_of(path: Path) -> str:
    """The stretch of a span; evaluation is one stretch with all that is in it.

    Raises:
        KeyError: the span belongs to none.
    """
    if "evaluate" in path:
        return "evaluate"
    return _NAMES[_SPANS.get(path[-1], path[-1])]


_NAMES = {stretch.name: stretch.name for stretch in STRETCHES}
