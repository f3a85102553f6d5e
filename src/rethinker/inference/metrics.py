"""What the server counts, in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(slots=True)
class Histogram:
    """Seconds, by bucket."""

    counts: Counter[float] = field(default_factory=Counter)
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Note one."""
        self.total += seconds
        self.counts[next((bound for bound in BUCKETS if seconds <= bound), float("inf"))] += 1

    def lines(self, name: str, said: str) -> list[str]:
        """In Prometheus' format."""
        lines, below = _head(name, "histogram", said), 0
        for bound in BUCKETS:
            below += self.counts[bound]
            lines.append(f'{name}_bucket{{le="{bound:g}"}} {below}')
        count = self.counts.total()
        return [*lines, f'{name}_bucket{{le="+Inf"}} {count}', f"{name}_sum {self.total:.6f}", f"{name}_count {count}"]


@dataclass(slots=True)
class Metrics:
    """Counts since the server started.

    Attributes:
        requests: Chat completions by HTTP status; 499 is a client that went away.
        looks: Second looks made.
        changed: Of the responses with one, those whose answer it changed.
        waiting: Choices that are in the engine or wait for it.
    """

    requests: Counter[int] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    looks: int = 0
    changed: int = 0
    waiting: int = 0
    seconds: Histogram = field(default_factory=Histogram)
    first_seconds: Histogram = field(default_factory=Histogram)

    def text(self) -> str:
        """All of it."""
        lines = _head("rethinker_requests_total", "counter", "Chat completions by HTTP status.")
        lines += [f'rethinker_requests_total{{status="{status}"}} {n}' for status, n in sorted(self.requests.items())]
        for name, value, kind, said in (
            ("rethinker_prompt_tokens_total", self.prompt_tokens, "counter", "Tokens of prompts answered."),
            ("rethinker_completion_tokens_total", self.completion_tokens, "counter", "Tokens of responses."),
            ("rethinker_second_looks_total", self.looks, "counter", "Second looks made."),
            ("rethinker_answers_changed_total", self.changed, "counter", "Answers that a second look changed."),
            ("rethinker_choices_waiting", self.waiting, "gauge", "Choices in the engine or waiting for it."),
        ):
            lines += [*_head(name, kind, said), f"{name} {value}"]
        lines += self.seconds.lines("rethinker_request_seconds", "Seconds to a whole answer.")
        lines += self.first_seconds.lines("rethinker_first_text_seconds", "Seconds to the first text of an answer.")
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, said: str) -> list[str]:
    return [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]
