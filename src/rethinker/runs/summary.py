"""`summary.json`: what a run achieved, flat, in the fewest numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from rethinker.types import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The outcome of one run on the held-out problems; greedy decoding, no second look forced.

    Attributes:
        problems: Held-out problems answered.
        accuracy_before: Share of held-out problems right before training; `accuracy_after` after it.
        accuracy_before_interval: Its 95 % interval (low, high); `accuracy_after_interval` likewise.
        rethinking_before: Share of responses that look twice unasked, before; `rethinking_after` after.
        wrong_to_right: Share of all held-out problems whose first answer was wrong and final answer right, after.
        right_to_wrong: The reverse.
        seconds: Wall time of the run without set-up.
        peak_memory_bytes: Peak of the memory summed over the process tree.
    """

    problems: int
    accuracy_before: float
    accuracy_after: float
    accuracy_before_interval: tuple[float, float]
    accuracy_after_interval: tuple[float, float]
    rethinking_before: float
    rethinking_after: float
    wrong_to_right: float
    right_to_wrong: float
    seconds: float
    peak_memory_bytes: int

    def to_json(self) -> State:
        """The fields as JSON values, intervals as lists."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
