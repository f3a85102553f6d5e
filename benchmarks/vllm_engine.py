"""Our vLLM engine beside plain `vllm.LLM.generate` on the same requests, and the seconds of a sync. On the CPU.

    python benchmarks/vllm_engine.py --json OUT --picture OUT [--quick] [--repeats N] [--threads N]

16 prompts with an image × 8 responses of the tiny model, float32, each prompt's responses of a length drawn uniformly
from 16 to 128 tokens, another every step. Arms are processes of their own (`vllm_arms.py`) that step in turn, after a
step each that is not counted. Figures are medians; the ratio is the median of pairs, above 1 where ours is faster.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import reporting
from turns import Trace, Worker, in_turn
from work import Work

ARMS = ("ours", "plain", "sync")
BASE = Work(least=16, most=128)
QUICK = Work(prompts=2, group=2, least=2, most=6)
RATIO, SYNC_SECONDS = 0.9, 0.5
"""To reach: within a tenth of plain vLLM; a sync at three million parameters."""

COLUMNS = (
    reporting.Column(head="ours tokens/s", key="ours_tokens_per_s", digits=0),
    reporting.Column(head="plain vLLM tokens/s", key="plain_tokens_per_s", digits=0),
    reporting.Column(head="ratio", key="ratio", digits=2),
    reporting.Column(head="to reach", key="ratio_to_reach"),
    reporting.Column(head="sync, s", key="sync_s", digits=3),
    reporting.Column(head="parameters, millions", key="parameters", unit=1e6, digits=1),
    reporting.Column(head="to reach, s", key="sync_to_reach_s"),
)


def row(traces: dict[str, Trace]) -> dict[str, Any]:
    """Medians, and the median of the paired ratios."""
    rates = {name: [step.tokens / step.seconds for step in traces[name].steps] for name in ("ours", "plain")}
    return {
        "ours_tokens_per_s": statistics.median(rates["ours"]),
        "plain_tokens_per_s": statistics.median(rates["plain"]),
        "ratio": statistics.median(own / other for own, other in zip(rates["ours"], rates["plain"], strict=True)),
        "ratio_to_reach": RATIO,
        "sync_s": statistics.median(step.seconds for step in traces["sync"].steps),
        "parameters": traces["sync"].steps[0].tokens,
        "sync_to_reach_s": SYNC_SECONDS,
    }


def charts(found: reporting.Row) -> list[reporting.Bars]:
    """Tokens a second of both."""
    series = {"ours": [found["ours_tokens_per_s"]], "plain vLLM": [found["plain_tokens_per_s"]]}
    return [reporting.Bars(title="vLLM", unit="tokens a second", places=["tiny, G 8"], series=series, notes=[""])]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw it if asked."""
    parser = reporting.parser("Our vLLM engine beside plain vLLM.", repeats=7, quick="a tiny batch")
    arguments = reporting.parsed(parser, argv)
    work = QUICK if arguments.quick else BASE
    work = Work(**asdict(work) | {"threads": arguments.threads, "steps": arguments.repeats + 1})
    report = reporting.head("vllm_engine", arguments)
    starts = [partial(Worker, "vllm_arms.py", name, work.stated(), threads=work.threads) for name in ARMS]
    traces = dict(zip(ARMS, in_turn(starts, repeats=arguments.repeats, case="tiny"), strict=True))
    found = row(traces)
    arms = {name: [asdict(step) for step in trace.steps] for name, trace in traces.items()}
    report |= {"rows": [found], "details": [{"work": asdict(work), "arms": arms}]}
    print(reporting.table(COLUMNS, report["rows"]), flush=True)
    reporting.write(report, arguments.json)
    reporting.draw(charts(found), arguments.picture)


if __name__ == "__main__":
    main()
