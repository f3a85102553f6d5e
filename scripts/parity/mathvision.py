"""MATH-Vision's published outputs of six models."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

from scripts.parity import ASSETS, OVERALL, Cells, Given, GivenFile, lines

from rethinker.evaluation.benchmarks.catalogue import Rule

FOLDER = ASSETS / "mathvision"

MODELS = (
    "Gemini-Pro",
    "Gemini-Pro-CoT",
    "Qwen-VL-Max",
    "LLaVA-v1.5-7B",
    "InternLM-XComposer2-VL-CoT",
    "Random-Chance",
)

DEPARTURES = {
    "Gemini-Pro": {
        "3013": (False, "the stored flag is wrong, the stored answer 4/3 equals the gold \\frac{4}{3} by the code"),
    },
}


def given() -> list[GivenFile]:
    """One file per model."""
    return [
        GivenFile(
            name=model,
            rule=Rule(name="mathvision"),
            problems=FOLDER / "gt/test.jsonl.gz",
            responses=partial(_responses, FOLDER / f"open/{model}.jsonl.gz"),
            verdicts=partial(_verdicts, FOLDER / f"open/{model}.official_head_rows.jsonl.gz"),
            published=partial(_published, FOLDER / f"open/{model}.published_result.json"),
            departures=DEPARTURES.get(model, {}),
        )
        for model in MODELS
    ]


def _responses(path: Path) -> dict[str, str]:
    return {row["id"]: row["response"] for row in lines(path)}


def _verdicts(path: Path) -> dict[str, Given]:
    return {row["id"]: Given(correct=row["correct"], extracted=row["model_answer"]) for row in lines(path)}


def _published(path: Path) -> Cells:
    """Cells such as `"algebra_level1": "2/7=28.57%"`; the same cell stands there twice, under `-level1_algebra` too."""
    found = {}
    for key, value in json.loads(path.read_text(encoding="utf-8")).items():
        right, rows = value.partition("=")[0].split("/")
        found[_cell(key)] = int(right), int(rows)
    return found


def _cell(key: str) -> tuple[str, str]:
    if key == "-all":
        return OVERALL
    if level := re.fullmatch(r"-level(\d)", key):
        return "level", level[1]
    if both := re.fullmatch(r"-level(\d)_(.+)", key):
        return "subject_level", f"{both[2]}_level{both[1]}"
    return ("subject_level", key) if re.search(r"_level\d$", key) else ("subject", key)
