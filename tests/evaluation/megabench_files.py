"""MEGA-Bench's given files, and rows as the hub publishes them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rethinker.evaluation.scorers import missing

GIVEN = Path(__file__).parents[3] / "shared" / "assets" / "megabench"

needs_files = pytest.mark.skipif(not GIVEN.is_dir(), reason=f"{GIVEN} is absent: MEGA-Bench's given files")
needs_scorer = pytest.mark.skipif(
    bool(missing("megabench")), reason="no scorer environment: python scripts/make_scorers.py megabench"
)


def given(name: str) -> Any:
    """A given file's content; a list of rows for JSON lines."""
    with gzip.open(GIVEN / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file] if ".jsonl" in name else json.load(file)


def rule(kind: str, *, field: str = "answer", parser: str = "answer_string", **more: object) -> dict[str, object]:
    """A task's metric_info with one field."""
    return {
        "field_score_function": {field: kind},
        "aggregation": {"function": "mean", "field_weights": {field: 1}},
        "response_parse_function": parser,
        **more,
    }


def request(response: str, metric_info: object, answer: object, **more: object) -> dict[str, Any]:
    """What a worker with the metrics is asked."""
    asked = {"rule": metric_info, "answer": answer, "context": {}, "question": "", "response": response}
    return {**asked, "extracted": False, "given": {}, **more}


def hub_row(**changed: object) -> dict[str, str]:
    """A row of the hub's parquet, whose structured columns are texts of Python values."""
    row: dict[str, object] = {
        "id": "4298",
        "task_name": "chart_vqa",
        "task_description": "Look at the plan.\n<image>",
        "global_media": ["./data/chart/plan.png"],
        "example_text": "Demonstration example(s) of the task:\nExample 1:\n<image>Example Question: how many?",
        "example_media": ["./data/chart/demo.png"],
        "query_text": "<image>\nQuestion: and here?",
        "query_media": ["./data/chart/query.png"],
        "answer": {"answer": "16"},
        "metric_info": rule("exact_str_match"),
        "eval_context": {},
    }
    return {name: value if isinstance(value, str) else repr(value) for name, value in {**row, **changed}.items()}


def write_parquet(file: Path, *rows: dict[str, str]) -> Path:
    """Rows as a shard."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), file)
    return file
