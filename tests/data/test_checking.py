from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.data.making_images import png
from tests.data.real_pictures import LOGICVISTA, real_pictures
from tests.rollout.scripted import RuleScorer

from rethinker.data.checking import UNVERIFIED, Reason, Report, check
from rethinker.data.columns import USUAL, Columns
from rethinker.data.jsonl import JsonlSource
from rethinker.data.opening import open_source
from rethinker.errors import DataError
from rethinker.types import Outline

GOOD = {"question": "How many?", "answer": "3", "image": "a.png"}


def source_of(folder: Path, *rows: object, columns: Columns = USUAL) -> JsonlSource:
    (folder / "a.png").write_bytes(png(7))
    (folder / "cut.png").write_bytes(png(8, height=200, width=300)[:90])
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return JsonlSource(folder / "rows.jsonl", columns=columns)


def found(report: Report) -> list[tuple[int, Reason, str]]:
    return [(finding.row, finding.reason, finding.column) for finding in report.findings]


def test_each_way_of_being_bad_has_its_reason_and_its_column(tmp_path: Path) -> None:
    source = source_of(
        tmp_path,
        GOOD,
        "{not json",
        {**GOOD, "question": ""},
        {**GOOD, "answer": [1]},
        {**GOOD, "question": "<image> or <image>?"},
        {**GOOD, "image": "cut.png"},
        {**GOOD, "image": "nowhere.png"},
        {**GOOD, "image": "../a.png"},
        {**GOOD, "image": "https://example.org/a.png"},
        {**GOOD, "image": {"pixels": 3}},
        {**GOOD, "answer": "7", "verifier": "choice", "choices": ["7", "8"]},
        {**GOOD, "answer": "a dog", "verifier": "number"},
        {**GOOD, "id": "twice"},
        {**GOOD, "id": "twice"},
        {**GOOD, "question": "half \ud800 a pair"},
        {**GOOD, "image": "half\ud800.png"},
    )
    report = check(source, workers=2, scorer=RuleScorer())
    assert found(report) == [
        (1, Reason.ROW, ""),
        (2, Reason.ROW, "question or problem"),
        (3, Reason.ROW, "answer"),
        (4, Reason.MARKS, "question"),
        (5, Reason.IMAGE, "image"),
        (6, Reason.IMAGE, "image"),
        (7, Reason.IMAGE, "image"),
        (8, Reason.IMAGE, "image"),
        (9, Reason.ROW, "image"),
        (11, Reason.ANSWER, "answer"),
        (13, Reason.ROW, "id"),
        (14, Reason.ROW, "question"),
        (15, Reason.IMAGE, "image"),
    ]
    assert (report.rows, report.images) == (16, 3)
    assert report.counts == {
        Reason.ROW: 6,
        Reason.MARKS: 1,
        Reason.IMAGE: 5,
        Reason.ANSWER: 1,
        Reason.PROMPT: 0,
    }
    assert report.findings[0].where.endswith("rows.jsonl, line 2")
    assert "given as a response, is scored error" in next(
        row.detail for row in report.findings if row.reason is Reason.ANSWER
    )


def test_findings_name_the_columns_that_the_file_has(tmp_path: Path) -> None:
    good = {"prompt": "How many?", "key": "3", "pic": ["a.png"]}
    source = source_of(
        tmp_path,
        {**good, "qid": "twice"},
        {**good, "qid": "twice"},
        {**good, "pic": ["a.png", "none.png"]},
        {**good, "pic": ["cut.png"]},
        {**good, "prompt": "<image 2>?"},
        {**good, "key": "a dog", "verifier": "number"},
        {**good, "prompt": "long " * 9},
        columns=Columns(question=("prompt",), answer=("key",), images=("pic",)),
    )
    report = check(source, workers=1, scorer=RuleScorer(), length=lambda outline: len(outline.question), max_tokens=30)
    assert found(report) == [
        (1, Reason.ROW, "qid"),
        (2, Reason.IMAGE, "pic[1]"),
        (3, Reason.IMAGE, "pic[0]"),
        (4, Reason.MARKS, "prompt"),
        (5, Reason.ANSWER, "key"),
        (6, Reason.PROMPT, "prompt"),
    ]


def test_a_finding_is_json(tmp_path: Path) -> None:
    finding = check(source_of(tmp_path, {**GOOD, "image": "b.png", "id": "x"}), workers=1).findings[0]
    assert json.loads(json.dumps(finding.as_json())) == {
        "row": 0,
        "where": f"{tmp_path / 'rows.jsonl'}, line 1",
        "id": "x",
        "column": "image",
        "reason": "image",
        "detail": f"column 'image': image {tmp_path / 'b.png'} cannot be opened: there is no such file",
    }


def test_answers_stay_unverified_without_a_scorer(tmp_path: Path) -> None:
    assert check(source_of(tmp_path, {**GOOD, "answer": "a dog", "verifier": "number"}), workers=1).findings == ()


def test_prompts_are_measured_from_what_was_decoded(tmp_path: Path) -> None:
    seen: list[Outline] = []

    def length(outline: Outline) -> int:
        seen.append(outline)
        if "forbidden" in outline.question:
            raise DataError("the question holds a special token")
        return len(outline.question)

    source = source_of(
        tmp_path, GOOD, {**GOOD, "question": "long " * 9}, {**GOOD, "question": "forbidden"}, {**GOOD, "image": "b.png"}
    )
    report = check(source, workers=2, length=length, max_tokens=30)
    assert found(report) == [(1, Reason.PROMPT, "question"), (2, Reason.PROMPT, "question"), (3, Reason.IMAGE, "image")]
    assert report.findings[0].detail == "its prompt has 52 tokens, more than the 30 allowed"
    assert report.longest_prompt == 52
    assert [outline.image_sizes for outline in seen] == [((30, 40),)] * 3


def test_every_row_is_counted_once_when_more_rows_wait_than_may(tmp_path: Path) -> None:
    rows = [{"question": f"{number}?", "answer": "x" if number % 50 else ""} for number in range(UNVERIFIED + 100)]
    done: list[None] = []
    report = check(source_of(tmp_path, *rows), workers=3, scorer=RuleScorer(), advance=lambda: done.append(None))
    assert report.rows == len(done) == UNVERIFIED + 100
    assert [finding.row for finding in report.findings] == list(range(0, UNVERIFIED + 100, 50))


@real_pictures
def test_of_logicvista_one_row_is_bad_for_it_asks_nothing() -> None:
    report = check(open_source(LOGICVISTA), workers=2, scorer=RuleScorer())
    assert (report.rows, report.images) == (161, 160)
    assert [(finding.id, finding.column) for finding in report.findings] == [("v1_382", "question")]


@pytest.mark.parametrize("workers", [1, 4])
def test_the_report_does_not_depend_on_the_number_of_threads(tmp_path: Path, workers: int) -> None:
    rows = [{**GOOD, "image": "cut.png" if number % 7 == 0 else "a.png"} for number in range(40)]
    report = check(source_of(tmp_path, *rows), workers=workers, scorer=RuleScorer())
    assert [finding.row for finding in report.findings] == list(range(0, 40, 7))
