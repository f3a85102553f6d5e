"""`rethinker score`: exit status, results, verdicts, and what it tells."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from asking import mathvision_row, write_lines

from rethinker.cli import main

ROWS = [
    mathvision_row("1", "60"),
    mathvision_row("2", "B", "12345", subject="logic"),
    mathvision_row("3", "\\frac{1}{2}"),
]
RIGHT = [{"id": "3", "response": "\\boxed{0.50}"}, {"id": "1", "response": "60"}, {"id": "2", "response": "3"}]


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "test.jsonl", ROWS)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["score", *map(str, arguments)])
    code = ended.value.code
    said = capsys.readouterr()
    assert isinstance(code, int)
    return code, said.out + said.err


def asked(problems: Path, rows: list[Any], *more: object) -> tuple[object, ...]:
    predictions = write_lines(problems.with_name("p.jsonl"), rows)
    return ("mathvision", "--predictions", predictions, "--problems", problems, "--workers", "1", *more)


def test_results_verdicts_and_table(problems: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, verdicts = problems.with_name("out.json"), problems.with_name("v.jsonl")
    code, said = run(capsys, *asked(problems, RIGHT, "--json", out, "--verdicts", verdicts))
    assert code == 0
    assert "66.67%" in said
    result = json.loads(out.read_text())
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert result["counts"] == {
        "questions": 3, "predicted": 3, "correct": 2, "missing": 0, "unknown": 0, "duplicate": 0, "malformed": 0
    }  # fmt: skip
    assert result["breakdowns"]["subject"]["logic"] == {"accuracy": 0, "correct": 0, "predicted": 1}
    assert result["outcomes"]["correct"] == 2
    assert result["fallback_interval"] == [result["accuracy"]] * 2
    assert [json.loads(line) for line in verdicts.read_text().splitlines()] == [
        {"id": "1", "extracted": "60", "correct": True, "score": 1.0},
        {"id": "2", "extracted": "3", "correct": False, "score": 0.0},
        {"id": "3", "extracted": "0.50", "correct": True, "score": 1.0},
    ]


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (RIGHT[:2], "missing"),
        ([*RIGHT, {"id": "x", "response": "1"}], "unknown"),
        ([*RIGHT, RIGHT[0]], "duplicate"),
        ([*RIGHT, "oops\n"], "malformed"),
    ],
)
def test_anything_but_one_prediction_for_each_exits_3(
    problems: Path, capsys: pytest.CaptureFixture[str], rows: list[Any], kind: str
) -> None:
    out = problems.with_name("out.json")
    code, said = run(capsys, *asked(problems, rows, "--json", out))
    assert code == 3
    assert kind in said
    result = json.loads(out.read_text())
    assert result["counts"][kind] == 1
    assert len(result["examples"][kind]) == 1
    assert run(capsys, *asked(problems, rows, "--allow-partial"))[0] == 0


def test_another_benchmarks_predictions_are_never_a_score(problems: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = problems.with_name("out.json")
    code, said = run(capsys, *asked(problems, [{"id": "q", "response": "1"}], "--json", out, "--allow-partial"))
    assert code == 3
    assert "no question has a prediction" in said
    assert json.loads(out.read_text())["accuracy"] is None


def test_another_benchmarks_problems_are_refused(problems: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "emma", *asked(problems, RIGHT)[1:])
    assert code == 1
    assert "pid" in said
    assert "another benchmark" in said


@pytest.mark.parametrize(
    ("name", "more", "complaint"),
    [("mathvison", (), "choose one of"), ("emma", ("--setting", "vision"), "has no settings")],
)
def test_unknown_names_are_told(
    problems: Path, capsys: pytest.CaptureFixture[str], name: str, more: tuple[str, ...], complaint: str
) -> None:
    code, said = run(capsys, name, *asked(problems, RIGHT, *more)[1:])
    assert code == 1
    assert complaint in said


def test_answers_may_come_extracted(problems: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "1", "response": "60"}, {"id": "2", "response": "b"}, {"id": "3", "response": "the answer is 0.5"}]
    code, said = run(capsys, *asked(problems, rows, "--extracted"))
    assert code == 0
    assert "66.67%" in said


def test_explain_says_what_decided(problems: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, *asked(problems, RIGHT, "--explain", "3"))
    assert code == 0
    assert "both are 0.5" in said
    assert run(capsys, *asked(problems, RIGHT, "--explain", "9"))[0] == 1


def test_the_boxed_protocol_scores_the_same_file(problems: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, *asked(problems, RIGHT, "--protocol", "boxed"))
    assert code == 0
    assert "boxed protocol" in said
