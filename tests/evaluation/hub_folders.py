"""Tiny folders in the schema in which the hub publishes each of the seven benchmarks, with questions made up here.

Columns, their types, configurations, splits and the names of shards are the hub's; the pictures are LogicVista's
(Apache-2.0), shrunk. Right answers are known: `A` or option A's text where there are options, `7` where there are none.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import rethinker

PICTURES = sorted((Path(rethinker.__file__).parent / "assets" / "logicvista" / "images").glob("*.png"))
SIDE = 56

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TEXT, TEXTS, WHOLE, REAL = pa.string(), pa.list_(pa.string()), pa.int64(), pa.float64()

OPTIONS = ["seven", "eight", "nine", "ten"]
SUBJECTS = ("Accounting", "Art", "Math")

Row = dict[str, Any]


def picture(number: int) -> Row:
    """One of a few pictures, as Hugging Face's image feature stores it."""
    file = io.BytesIO()
    with Image.open(PICTURES[number % len(PICTURES)]) as opened:
        opened.convert("RGB").resize((SIDE, SIDE)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": f"{number}.png"}


def shard(file: Path, columns: Mapping[str, pa.DataType], rows: Iterable[Row]) -> None:
    """Write rows as one parquet file; a column that a row lacks is null."""
    file.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema(list(columns.items()))
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file, row_group_size=100)


def mathvista(folder: Path) -> None:
    described = pa.struct(
        [(name, TEXT) for name in ("category", "context", "grade")]
        + [("img_height", WHOLE), ("img_width", WHOLE), ("language", TEXT), ("skills", TEXTS)]
        + [(name, TEXT) for name in ("source", "split", "task")]
    )
    columns = {"pid": TEXT, "question": TEXT, "image": TEXT, "decoded_image": IMAGE, "choices": TEXTS, "unit": TEXT}
    columns |= {"precision": REAL, "answer": TEXT, "question_type": TEXT, "answer_type": TEXT, "metadata": described}
    columns |= {"query": TEXT}
    for split, first, withheld in (("testmini", 1, False), ("test", 1001, True)):
        rows = []
        kinds = (("integer", None, "7"), ("float", 1.0, "7.0"), ("list", None, "[7, 8]"), ("text", None, "seven"))
        for pid, (kind, precision, answer) in enumerate(kinds, start=first):
            choices = OPTIONS if kind == "text" else None
            asked = "How many squares are there?"
            lines = [f"Hint: Please answer the question as {kind}.", f"Question: {asked}"]
            rows.append({
                "pid": str(pid), "question": asked, "image": f"images/{pid}.jpg", "decoded_image": picture(pid),
                "choices": choices, "unit": None, "precision": precision, "answer": "" if withheld else answer,
                "question_type": "multi_choice" if choices else "free_form", "answer_type": kind,
                "metadata": {
                    "category": "general-vqa", "context": "puzzle test", "grade": "not applicable", "img_height": SIDE,
                    "img_width": SIDE, "language": "english", "skills": ["logical reasoning", "arithmetic reasoning"],
                    "source": "IQTest", "split": split, "task": "figure question answering",
                },
                "query": "\n".join(lines),
            })  # fmt: skip
        shard(folder / "data" / f"{split}-00000-of-00001-0a1b2c3d4e5f6071.parquet", columns, rows)


def mathvision(folder: Path) -> None:
    columns = {"id": TEXT, "question": TEXT, "options": TEXTS, "image": TEXT, "decoded_image": IMAGE, "answer": TEXT}
    columns |= {"solution": TEXT, "level": WHOLE, "subject": TEXT}
    for split, first in (("test", 1), ("testmini", 101)):
        rows = [
            {
                "id": str(number), "question": "How many squares?\n<image1>" + (" <image2>" if number % 2 else ""),
                "options": options, "image": f"images/{number}.jpg", "decoded_image": picture(number),
                "answer": "A" if options else "7", "solution": None, "level": 1 + number % 5,
                "subject": ("algebra", "counting", "logic")[number % 3],
            }
            for number, options in enumerate(([*OPTIONS, "eleven"], [], list("ABCDE"), []), start=first)
        ]  # fmt: skip
        shard(folder / "data" / f"{split}-00000-of-00001-0a1b2c3d4e5f6071.parquet", columns, rows)


def mmmu(folder: Path) -> None:
    pictures = [f"image_{number}" for number in range(1, 8)]
    columns = {"id": TEXT, "question": TEXT, "options": TEXT, "explanation": TEXT, **dict.fromkeys(pictures, IMAGE)}
    columns |= {"img_type": TEXT, "answer": TEXT, "topic_difficulty": TEXT, "question_type": TEXT, "subfield": TEXT}
    for subject in SUBJECTS:
        for split in ("dev", "validation", "test"):
            choice = {
                "id": f"{split}_{subject}_1", "question": "How many squares does <image 1> have more than <image 2>?",
                "options": str(OPTIONS), "explanation": "", "image_1": picture(1), "image_2": picture(2),
                "img_type": "['Diagrams', 'Tables']", "answer": "?" if split == "test" else "A",
                "topic_difficulty": "Easy", "question_type": "multiple-choice", "subfield": "Squares",
            }  # fmt: skip
            free = {**choice, "id": f"{split}_{subject}_2", "question": "Count the squares. <image 1>", "options": "[]"}
            free |= {"image_2": None, "question_type": "open", "topic_difficulty": "Hard"}
            free |= {"answer": "?" if split == "test" else "['7', 'seven']" if subject == "Math" else "7"}
            shard(folder / subject / f"{split}-00000-of-00001.parquet", columns, [choice, free])


def mmmu_pro(folder: Path) -> None:
    pictures = [f"image_{number}" for number in range(1, 8)]
    columns = {"id": TEXT, "question": TEXT, "options": TEXT, "explanation": TEXT, **dict.fromkeys(pictures, IMAGE)}
    columns |= {"img_type": TEXT, "answer": TEXT, "topic_difficulty": TEXT, "subject": TEXT}
    ten = [*OPTIONS, *(f"<image 2> and {number} more" for number in range(1, 7))]
    for name, options in (("standard (4 options)", OPTIONS), ("standard (10 options)", ten)):
        rows = [
            {
                "id": f"test_{subject}_1", "question": "How many squares does <image 1> have?", "options": str(options),
                "explanation": "?", "image_1": picture(1), "image_2": picture(2) if options is ten else None,
                "img_type": "['Diagrams']", "answer": "A", "topic_difficulty": "Medium", "subject": subject,
            }
            for subject in SUBJECTS
        ]  # fmt: skip
        shard(folder / name / "test-00000-of-00002.parquet", columns, rows[:2])
        shard(folder / name / "test-00001-of-00002.parquet", columns, rows[2:])
    rows = [
        {"id": f"test_{subject}_1", "image": picture(3), "options": str(ten), "answer": "A", "subject": subject}
        for subject in SUBJECTS
    ]
    columns = {"id": TEXT, "image": IMAGE, "options": TEXT, "answer": TEXT, "subject": TEXT}
    shard(folder / "vision" / "test-00000-of-00001.parquet", columns, rows)


VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")


def mathverse(folder: Path) -> None:
    described = pa.struct([(name, TEXT) for name in ("split", "source", "subject", "subfield")])
    columns = {"sample_index": TEXT, "problem_index": TEXT, "problem_version": TEXT, "question": TEXT, "image": IMAGE}
    columns |= {"answer": TEXT, "question_type": TEXT, "metadata": described, "query_wo": TEXT, "query_cot": TEXT}
    columns |= {"question_for_eval": TEXT}

    def row(sample: int, version: str) -> Row:
        problem = 1 + (sample - 1) // 5 if version in VERSIONS else sample
        choice = problem % 2 == 1
        whole = "How many squares are there?" + ("\nChoices:\nA:seven\nB:eight\nC:nine\nD:ten" if choice else "")
        asked = "" if version == "Vision Only" else whole
        shown = f"\nQuestion: {asked}" if asked else ""
        return {
            "sample_index": str(sample), "problem_index": str(problem), "problem_version": version, "question": asked,
            "image": picture(problem), "answer": "A" if choice else "7",
            "question_type": "multi-choice" if choice else "free-form",
            "metadata": {
                "split": "testmini", "source": "GeoQA", "subject": ("Functions", "Plane Geometry")[choice],
                "subfield": ("Property", "Angle")[choice],
            },
            "query_wo": f"Please directly answer the question.{shown}",
            "query_cot": f"Please first conduct reasoning, and then answer the question.{shown}",
            "question_for_eval": whole,
        }  # fmt: skip

    shard(folder / "testmini.parquet", columns, (row(1 + place, VERSIONS[place % 5]) for place in range(10)))
    alone = [{**row(1 + place, "Text Only"), "image": ""} for place in range(2)]
    shard(folder / "testmini_text_only.parquet", {**columns, "image": TEXT}, alone)


def emma(folder: Path) -> None:
    pictures = [f"image_{number}" for number in range(1, 6)]
    columns = {"pid": TEXT, "question": TEXT, "options": TEXTS, "answer": TEXT, **dict.fromkeys(pictures, IMAGE)}
    columns |= dict.fromkeys(("solution", "subject", "task", "category", "source", "type", "context"), TEXT)
    for subject in ("Math", "Physics", "Chemistry", "Coding"):
        choice = {
            "pid": f"{subject.lower()}_1", "question": "Which number of squares has <image_1>?", "options": OPTIONS,
            "answer": "A", "image_1": picture(4), "solution": None, "subject": subject,
            "task": "Vis Choose Code" if subject == "Coding" else None,
            "category": "Line Chart;Bar Chart" if subject == "Coding" else "Counting", "source": "made here",
            "type": "Multiple choice" if subject == "Coding" else "Multiple Choice", "context": "Look closely.",
        }  # fmt: skip
        free = {**choice, "pid": f"{subject.lower()}_2", "question": "How many? <image_1> <image_2>", "options": []}
        free |= {"answer": "7", "image_2": picture(5), "type": "Open-ended", "context": ""}
        rows = [choice] if subject == "Coding" else [choice, free]
        shard(folder / subject / "test-00000-of-00001.parquet", columns, rows)


def megabench(folder: Path) -> None:
    names = ("task_name", "task_description", "global_media", "example_text", "example_media", "query_text")
    columns = {"id": TEXT, **dict.fromkeys((*names, "query_media", "answer", "metric_info", "eval_context"), TEXT)}
    columns |= {"taxonomy_tree_path": TEXT, "application": TEXT, "input_format": TEXT, "output_format": TEXT}
    for number in range(3):
        file = folder / "data" / "Coding" / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(number)["bytes"])
    demonstration = (
        "Demonstration example(s) of the task:\nExample 1:\n<image>\nExample Question: Where does the error occur?\n"
        "Example Response:\n[PLEASE OUTPUT YOUR REASONING]\nAnswer: 16\nAnswer the new question below. The last part "
        'of your response should be of the following format: "Answer: <YOUR ANSWER>" (without angle brackets) where '
        "YOUR ANSWER is your answer. Think step by step before answering."
    )

    def row(task: str, number: int, metric: str, field: str) -> Row:
        return {
            "id": f"{task}_{number}", "task_name": task, "task_description": "Find the line with the error.",
            "global_media": "[]", "example_text": demonstration, "example_media": "['./data/Coding/00.png']",
            "query_text": "<image> Where does the error occur?", "query_media": f"['./data/Coding/{number:02}.png']",
            "answer": str({field: "7"}), "eval_context": "{}",
            "metric_info": str({
                "field_score_function": {field: metric},
                "aggregation": {"function": "mean", "field_weights": {field: 1}},
                "response_parse_function": "answer_string",
                "gpt4o_eval_configs": {
                    "judge_model_type": "with image", "eval_criteria_prompt": "Reference: {ref}. Shown: {shown}",
                    "template_mapping": {"ref": f"answers.{field}", "shown": "model_output"},
                },
            }),
            "taxonomy_tree_path": "Coding;Code_Debugging", "application": "Coding",
            "input_format": "Text-Based Images and Documents", "output_format": "multiple_choice",
        }  # fmt: skip

    core = [row("code_error_line_identification", number, "exact_str_match", "Line") for number in (1, 2)]
    judged = [row("table2latex_complex", 1, "gpt_4o_as_judge", "Answer")]
    for name, rows in (("core", core), ("core_single_image", core), ("open", judged), ("open_single_image", judged)):
        shard(folder / name / "test-00000-of-00001.parquet", columns, rows)


WRITERS: dict[str, Callable[[Path], None]] = {
    "mathvista": mathvista,
    "mathvision": mathvision,
    "mmmu": mmmu,
    "mmmu_pro": mmmu_pro,
    "mathverse": mathverse,
    "emma": emma,
    "megabench": megabench,
}


def write_hub_folders(root: Path, names: Iterable[str] = tuple(WRITERS)) -> dict[str, Path]:
    """Write the named benchmarks' folders below one; name → folder."""
    folders = {name: root / name for name in names}
    for name, folder in folders.items():
        WRITERS[name](folder)
    return folders
