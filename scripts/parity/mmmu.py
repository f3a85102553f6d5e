"""MMMU's published run on the validation set, with the options of its own questions."""

from __future__ import annotations

from scripts.parity import ASSETS, Given, GivenFile, lines

from rethinker.evaluation.benchmarks.catalogue import Rule

FOLDER = ASSETS / "mmmu"
OUTPUTS = FOLDER / "open/llava1.5_13b_val.jsonl.gz"


def given() -> list[GivenFile]:
    """The run with the questions in its own file, and with the file of answers, which has no options."""
    return [
        GivenFile(
            name=name,
            rule=Rule(name="mmmu"),
            problems=problems,
            responses=_responses,
            verdicts=_verdicts,
        )
        for name, problems in (
            ("llava1.5_13b", OUTPUTS),
            ("llava1.5_13b, answers alone", FOLDER / "gt/answer_dict_val.json.gz"),
        )
    ]


def _responses() -> dict[str, str]:
    return {row["id"]: row["response"] for row in lines(OUTPUTS)}


def _verdicts() -> dict[str, Given]:
    """The letters too; of an open question the file has all statements, and ours names the one that decides."""
    choices = {row["id"] for row in lines(OUTPUTS) if row["question_type"] == "multiple-choice"}
    rows = lines(FOLDER / "open/llava1.5_13b_val.official_rows.jsonl.gz")
    return {
        row["id"]: Given(correct=row["correct"], extracted=row["parsed_pred"] if row["id"] in choices else ...)
        for row in rows
    }
