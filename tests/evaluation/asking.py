"""Questions and files made by hand, for tests of rules and scoring."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rethinker.evaluation.benchmark import Question


def question(name: str = "1", answer: object = "60", options: tuple[str, ...] = (), **extra: object) -> Question:
    return Question(
        id=name,
        text="How many?",
        options=options,
        answer=answer,
        kind="multiple choice" if options else "open-ended",
        labels={"subject": ("algebra",), "level": ("1",)},
        images=(),
        extra={"context": "", "content": options[ord(str(answer)) - 65] if options else answer, **extra},
    )


def mathvision_row(name: str, answer: str, options: Iterable[str] = (), subject: str = "algebra") -> dict[str, Any]:
    return {
        "id": name,
        "question": f"What is {name}?\n<image1>",
        "options": list(options),
        "answer": answer,
        "level": 1,
        "subject": subject,
        "image": f"images/{name}.jpg",
    }


def write_lines(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
