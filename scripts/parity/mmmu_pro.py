"""MMMU-Pro's published runs of three models in its three settings."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from scripts.parity import ASSETS, OVERALL, Cells, Given, GivenFile, lines

from rethinker.evaluation.benchmarks.catalogue import Rule

FOLDER = ASSETS / "mmmu_pro"

SETTINGS = {
    "Standard_4opts": "standard4",
    "Standard_10opts": "standard10",
    "Vision": "vision",
    "standard_10_options__cot": "standard10",
    "standard_10_options__direct": "standard10",
    "vision_cot": "vision",
    "vision_direct": "vision",
}
"""How a file's name ends → setting."""

RUNS = (
    *("InternVL2-8B_direct_Standard_10opts", "InternVL2-8B_direct_Standard_4opts", "InternVL2-8B_direct_Vision"),
    *(f"gpt-4o-2024-08-06_direct_{end}" for end in ("Standard_10opts", "Standard_4opts", "Vision")),
    *(f"llava-onevision-qwen2-7b-vo-hf_cot_{end}" for end in ("Standard_10opts", "Standard_4opts")),
    *(f"llava-onevision-qwen2-7b-vo-hf_direct_{end}" for end in ("Standard_10opts", "Standard_4opts", "Vision")),
)
"""Of the paper, on the repository's mix_data."""

LATER = tuple(f"gpt4o_HEAD_{end}" for end in list(SETTINGS)[3:])
"""On the hub's rows, of which validation_Accounting_29 has other options and another answer: questions in the file."""

WITHOUT_DRAWS = ("InternVL2-8B_direct_Standard_10opts", "InternVL2-8B_direct_Standard_4opts")
"""Runs of which the official code draws no answer, so that their published totals can be met exactly."""


def given() -> list[GivenFile]:
    """One file per model, prompt and setting."""
    return [
        GivenFile(
            name=run,
            rule=Rule(name="mmmu_pro", setting=next(SETTINGS[end] for end in SETTINGS if run.endswith(end))),
            problems=FOLDER / (f"open/{run}.jsonl.gz" if run in LATER else "gt/mix_data.jsonl.gz"),
            responses=partial(_responses, FOLDER / f"open/{run}.jsonl.gz"),
            verdicts=partial(_verdicts, FOLDER / f"open/{run}.official_rows.jsonl.gz"),
            published=partial(_published, run) if run in WITHOUT_DRAWS else None,
        )
        for run in (*RUNS, *LATER)
    ]


def _responses(path: Path) -> dict[str, str]:
    return {row["id"]: row["response"] for row in lines(path)}


def _verdicts(path: Path) -> dict[str, Given]:
    return {row["id"]: Given(correct=row["correct"], extracted=row["pred"]) for row in lines(path)}


def _published(run: str) -> Cells:
    """`direct_Standard(4opts)` of the model in the summary of results."""
    model, style, _, options = run.split("_")
    summary = json.loads((FOLDER / "gt/results_summary.json").read_text(encoding="utf-8"))
    return {OVERALL: (int(summary[model][f"{style}_Standard({options})"]), 1730)}
