"""`trace.json`: every span as it happened, for the standard viewers of traces (Perfetto, Chrome)."""

from __future__ import annotations

from collections.abc import Sequence

from rethinker.timing import Event
from rethinker.types import State


def trace(events: Sequence[Event]) -> State:
    """Complete events in the format of Chrome's and Perfetto's viewers; times in microseconds."""
    threads = sorted({event.thread for event in events} | {""})
    names = [
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": {"name": thread or "main"}}
        for number, thread in enumerate(threads)
    ]
    spans = [
        {
            "ph": "X",
            "name": event.name,
            "pid": 1,
            "tid": threads.index(event.thread),
            "ts": round(event.start * 1e6, 1),
            "dur": round(event.seconds * 1e6, 1),
            "args": dict(event.counts),
        }
        for event in sorted(events, key=lambda event: (event.start, -event.seconds))
    ]
    return {"displayTimeUnit": "ms", "traceEvents": [*names, *spans]}
