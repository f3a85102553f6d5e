"""Where a benchmark's files are expected: a folder per benchmark, as downloaded from the hub."""

from __future__ import annotations

from pathlib import Path

from rethinker.errors import DatasetError

HUB = {
    "mathvista": "AI4Math/MathVista",
    "mathverse": "AI4Math/MathVerse",
    "mathvision": "MathLLMs/MathVision",
    "mmmu": "MMMU/MMMU",
    "mmmu_pro": "MMMU/MMMU_Pro",
    "emma": "luckychao/EMMA",
    "megabench": "TIGER-Lab/MEGA-Bench",
}
"""Benchmark → its repository of data sets."""

SUFFIXES = (".parquet", ".jsonl", ".json", ".jsonl.gz", ".json.gz")


def place(data: Path, name: str) -> Path:
    """The folder or the file of a benchmark's questions.

    Raises:
        DatasetError: there is neither.
    """
    if (data / name).is_dir():
        return data / name
    files = [file for suffix in SUFFIXES if (file := data / f"{name}{suffix}").is_file()]
    if files:
        return files[0]
    raise DatasetError(
        f"{data / name} is missing: {name} is read from this folder, with the hub's {HUB[name]} as it lies there "
        f"(hf download {HUB[name]} --repo-type dataset --local-dir {data / name}), or from one file "
        f"{data / name}.parquet, .jsonl or .json"
    )
