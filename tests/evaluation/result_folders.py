"""Folders as `rethinker eval` writes them, of models that exist only as chances."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CELLS = ("algebra", "counting", "geometry")


@dataclass(frozen=True)
class Model:
    """A pretended model.

    skill: mean chance of a right answer; mended and spoiled: of a second thought that finds it wrong, or right.
    """

    name: str
    skill: float
    rethink: str = "off"
    samples: int = 1
    mended: float = 0.12
    spoiled: float = 0.06
    spontaneous: float = 0.0


def rows_of(model: Model, questions: range, *, seed: int = 0, macro: bool = False) -> list[dict[str, Any]]:
    """Rows of one benchmark: hard questions are hard for every model, first answers of one skill are the same."""
    rows = []
    for number in questions:
        ease = np.random.default_rng([seed, number]).normal()
        chance = 1 / (1 + np.exp(-(np.log(model.skill / (1 - model.skill)) * 1.4 + 1.6 * ease)))
        for sample in range(model.samples):
            rng = np.random.default_rng([seed, number, sample, int(1000 * model.skill)])
            first = bool(rng.random() < chance)
            tokens, second = int(rng.lognormal(5.2, 0.4)), int(rng.lognormal(5.1, 0.4))
            wrong, right, again = rng.integers(1, 4), first, rng.random()
            thinks = model.rethink != "off" or rng.random() < model.spontaneous
            if thinks:
                right = again >= model.spoiled if first else again < model.mended
            if model.rethink == "oracle" and first:
                right, thinks = True, False
            rows.append(
                {
                    "id": f"q{number}", "sample": sample, "prompt": "?", "response": "…",
                    "extracted": "right" if right else f"wrong {wrong}", "correct": right, "score": float(right),
                    "outcome": "correct" if right else "wrong", "why": "equal" if right else "not equal",
                    "tokens": tokens + second * thinks, "first_correct": first if thinks else None,
                    "rethought": thinks,
                    "labels": {("task" if macro else "subject"): [CELLS[min(number % 7, 2)]]},
                }
            )  # fmt: skip
    for row in rows if model.rethink in ("forced", "oracle") else []:
        row["first_correct"] = row["correct"] if row["first_correct"] is None else row["first_correct"]
    return rows


def write_result(folder: Path, benchmark: str, model: Model, rows: list[dict[str, Any]], **report: Any) -> Path:
    """One benchmark of an evaluation folder, with what `compare` reads and a little more."""
    settings = {
        "schema": 1, "model": {"path": model.name, "fingerprint": "0"}, "protocol": "boxed", "style": "cot",
        "sampling": {"temperature": float(model.samples > 1), "max_new_tokens": 8192, "samples": model.samples},
        "rethink": model.rethink, "engine": "torch", "seed": 0, "limit": None, "versions": {},
    }  # fmt: skip
    result = {
        "benchmark": benchmark, "setting": "", "protocol": "boxed", "scoring": "rules", "extracted": False,
        "judge": None, "model": settings["model"], "settings": settings, **report,
    }  # fmt: skip
    place = folder / benchmark
    place.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    (place / "result.json").write_text(json.dumps(result))
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def write_model(folder: Path, model: Model, benchmarks: dict[str, range]) -> Path:
    """An evaluation folder of several benchmarks."""
    for place, (name, questions) in enumerate(benchmarks.items()):
        write_result(folder, name, model, rows_of(model, questions, seed=place, macro=name == "megabench"))
    return folder


EXAMPLE = (
    Model("base", 0.45),
    Model("forced", 0.45, rethink="forced"),
    Model("oracle", 0.45, rethink="oracle"),
    Model("trained", 0.52, spontaneous=0.4),
    Model("samples", 0.45, samples=8),
)
BENCHMARKS = {"mathvista": range(1000), "mathvision": range(1500), "mmmu": range(900)}


def write_example(folder: Path) -> None:
    """The folders behind docs/compare.md."""
    for model in EXAMPLE:
        write_model(folder / model.name, model, BENCHMARKS)
