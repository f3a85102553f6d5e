"""Write held-out gym problems in MathVista's published schema: `python -m scripts.write_gym_benchmark FOLDER [N]`.

`rethinker eval --protocol boxed` then asks them as it asks the real benchmark, with the prompts that the tiny model was
trained on: what second looks are worth at test time can be seen on a laptop (docs/compare.md).
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq

from rethinker.data.gym.catalogue import GymId, problem
from rethinker.types import IMAGE_MARK, Problem

FAMILIES = ("counting", "bars", "spatial")
PROBLEMS = 999


def row(number: int) -> dict[str, Any]:
    """The problem of that number as a row of the parquet."""
    family = FAMILIES[number % len(FAMILIES)]
    made = problem(GymId(family=family, level=1, split="test", index=number // len(FAMILIES)))
    question = made.question.replace(IMAGE_MARK, "")
    return {
        "pid": str(number),
        "question": question,
        "query": None,
        "image": f"images/{number}.png",
        "decoded_image": {"bytes": _png(made), "path": f"{number}.png"},
        "choices": None,  # they stand in the question, as in training
        "unit": None,
        "precision": None,
        "answer": made.answer,
        "question_type": "free_form",
        "answer_type": "text" if made.choices else "integer",
        "metadata": {
            "split": "testmini",
            "language": "english",
            "source": "gym",
            "category": family,
            "task": family,
            "context": "synthetic scene",
            "grade": "not applicable",
            "skills": [family],
        },
    }


def _png(made: Problem) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(made.images[0].pixels).save(file, format="PNG")
    return file.getvalue()


def main() -> None:
    """Write the split."""
    folder = Path(sys.argv[1]) / "mathvista" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row(number) for number in range(int(sys.argv[2]) if len(sys.argv) > 2 else PROBLEMS)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "testmini-00000-of-00001.parquet", row_group_size=100)


if __name__ == "__main__":
    main()
