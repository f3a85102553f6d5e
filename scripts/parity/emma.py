"""EMMA's published outputs: three models with both prompts on EMMA-mini, and random choice on both sets."""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any

from scripts.parity import ASSETS, OVERALL, Cells, Given, GivenFile, lines

from rethinker.evaluation.benchmarks.catalogue import Rule

FOLDER = ASSETS / "emma"

MODELS = tuple(
    f"EMMA-mini__{model}_{style}" for model in ("Qwen", "InternVL2_5", "Llava") for style in ("CoT", "Direct")
)
BASELINES = ("EMMA-mini__random_choice", "EMMA__random_choice")
"""No verdicts lie beside them: the flags in the file itself are compared."""

BY_HAND = "set to correct by hand: the fast rule finds another answer in the response, or none"
FIXED = (
    *("chem_87", "chem_128", "phy_1", "phy_18", "phy_43", "phy_44", "phy_59", "phy_62"),
    *("phy_82", "phy_98", "phy_116", "phy_129", "phy_134", "phy_144", "phy_155"),
)
DEPARTURES = {"EMMA-mini__Llava_CoT": dict.fromkeys(FIXED, (True, BY_HAND))}


def given() -> list[GivenFile]:
    """One file per model and prompt; each holds its questions too."""
    return [
        GivenFile(
            name=model,
            rule=Rule(name="emma"),
            problems=FOLDER / f"open/{model}.json.gz",
            responses=partial(_responses, FOLDER / f"open/{model}.json.gz"),
            verdicts=partial(_verdicts, FOLDER / "open", model),
            published=partial(_published, FOLDER / f"open/{model}.published_result.json"),
            departures=DEPARTURES.get(model, {}),
        )
        for model in (*MODELS, *BASELINES)
    ]


def _rows(path: Path) -> dict[str, dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def _responses(path: Path) -> dict[str, str]:
    return {row["pid"]: row["response"] or "" for row in _rows(path).values()}


def _verdicts(folder: Path, model: str) -> dict[str, Given]:
    official = folder / f"{model}.official_fast_rows.jsonl.gz"
    if model in BASELINES:
        return {row["pid"]: Given(correct=row["true_false"]) for row in _rows(folder / f"{model}.json.gz").values()}
    return {row["pid"]: Given(correct=row["correct"], extracted=row["extraction"]) for row in lines(official)}


def _published(path: Path) -> Cells:
    published = json.loads(path.read_text(encoding="utf-8"))
    found = {OVERALL: _count(published["average"])}
    for breakdown in ("subject", "question_type", "task"):
        found |= {(breakdown, name): _count(cell) for name, cell in published[breakdown].items()}
    for subject, categories in published["category"].items():
        found |= {("category", f"{subject}/{name}"): _count(cell) for name, cell in categories.items()}
    return found


def _count(cell: dict[str, Any]) -> tuple[int, int]:
    return cell["correct"], cell["total"]
