"""MathVista's published runs: the answers that a language model extracted, compared by rules."""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any

from scripts.parity import ASSETS, OVERALL, Cells, Given, GivenFile, lines

from rethinker.evaluation.benchmarks.catalogue import Rule

FOLDER = ASSETS / "mathvista"

MODELS = ("bard", "gpt4", "gpt4_2shot_code", "gpt4_2shot_solution_use_ocr", "llava_llama_2_13b", "random_guess")

OLDER_SKILLS = ("bard", "gpt4", "llava_llama_2_13b")
"""Runs published before some questions' skills were corrected: those cells are of other rows."""

NEW_NAMES = {"daily life": "not applicable"}
"""A grade as it was published → as the data have it now."""

INTEGERS = "published when integers were read by int(x), which refuses '2.0'; now they are read by int(float(x))"
REREAD = ("21", "289", "295", "472", "484", "508", "525", "720", "799", "904")
DEPARTURES = {"gpt4_2shot_code": dict.fromkeys(REREAD, (False, INTEGERS))}


def given() -> list[GivenFile]:
    """One file per model."""
    return [
        GivenFile(
            name=model,
            rule=Rule(name="mathvista", extracted=True),
            problems=FOLDER / "gt/testmini.json.gz",
            responses=partial(_responses, FOLDER / f"open/{model}.json.gz"),
            verdicts=partial(_verdicts, FOLDER / f"open/{model}.official_head_rows.jsonl.gz"),
            published=partial(_published, FOLDER / f"open/{model}.published_scores.json", model),
            departures=DEPARTURES.get(model, {}),
        )
        for model in MODELS
    ]


def _responses(path: Path) -> dict[str, str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {name: row["extraction"] for name, row in json.load(file).items()}


def _verdicts(path: Path) -> dict[str, Given]:
    return {row["pid"]: Given(correct=row["true_false"], extracted=row["extraction"]) for row in lines(path)}


def _published(path: Path, model: str) -> Cells:
    published = json.loads(path.read_text(encoding="utf-8"))
    found = {OVERALL: _count(published.pop("average"))}
    for breakdown, parts in published.items():
        if breakdown != "skills" or model not in OLDER_SKILLS:
            found |= {(breakdown, NEW_NAMES.get(name, name)): _count(cell) for name, cell in parts.items()}
    return found


def _count(cell: dict[str, Any]) -> tuple[int, int]:
    return int(cell["correct"]), int(cell["total"])
