import json
from pathlib import Path

import numpy as np
import pytest

from rethinker.data.logicvista import FIXTURES, LogicVistaSource
from rethinker.data.quarantine import Quarantine
from rethinker.data.stream import ProblemStream
from rethinker.errors import DataError, DatasetError

WHOLE = Path(__file__).parents[3] / "shared/assets/image_fixtures/logicvista161/dataset.json"
needs_whole = pytest.mark.skipif(not WHOLE.exists(), reason="LogicVista's 161 problems are not at ../shared/assets")


def write(folder: Path, **row: object) -> LogicVistaSource:
    whole = {"imagename": "v1_305.png", "question": "Which? (A) x (B) y", "answer": "A", **row}
    (folder / "dataset.json").write_text(json.dumps({"p": whole}))
    (folder / "images").symlink_to(FIXTURES.parent / "images")
    return LogicVistaSource(folder / "dataset.json")


def test_the_shipped_problems_load_and_are_varied() -> None:
    source = LogicVistaSource()
    problems = [source[i] for i in range(len(source))]
    assert len(problems) == 8
    assert len({p.category for p in problems}) == 4
    assert len({p.answer for p in problems}) == 5
    assert {p.verifier for p in problems} == {"choice"}
    assert all(p.question.startswith("<image>") and p.id == source.id(i) for i, p in enumerate(problems))
    assert problems[0].choices == ("True", "False", "Insufficient Information")
    assert sum(path.stat().st_size for path in FIXTURES.parent.rglob("*.*")) < 400_000


@needs_whole
def test_160_of_the_161_problems_load_and_the_one_without_answer_is_quarantined() -> None:
    source = LogicVistaSource(WHOLE)
    quarantine = Quarantine(max_share=0.05)
    problems = ProblemStream(source, seed=0, quarantine=quarantine).take(161)  # one epoch and its first again
    assert [row["id"] for row in quarantine.rows()] == ["v1_382"]
    assert "column 'question': expected text" in quarantine.rows()[0]["reason"]
    good = {p.id: p for p in problems}
    assert set(good) == {source.id(i) for i in range(161)} - {"v1_382"}
    assert {p.verifier for p in problems} == {"choice"}
    assert sum(bool(p.choices) for p in good.values()) == 117
    assert all(ord(p.answer) - ord("A") < len(p.choices) for p in problems if p.choices)


@needs_whole
def test_the_shipped_pictures_show_what_the_originals_show() -> None:
    whole, shipped = LogicVistaSource(WHOLE), LogicVistaSource()
    rows = {whole.id(i): i for i in range(len(whole))}
    for index in range(len(shipped)):
        original = whole[rows[shipped.id(index)]]
        assert np.array_equal(shipped[index].images[0].pixels, original.images[0].pixels)
        assert shipped[index].question == original.question


def test_several_letters_are_verified_as_a_list(tmp_path: Path) -> None:
    problem = write(tmp_path, answer="A, C")[0]
    assert (problem.answer, problem.verifier) == ("A, C", "list")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answer": ""}, "row p: column 'answer': expected text"),
        ({"answer": "maybe"}, "column 'answer': expected an option's letter, or several as \"A, C\", got 'maybe'"),
        ({"answer": None}, "column 'answer': expected text or a number, got nothing"),
        ({"question": ""}, "column 'question': expected text"),
        ({"imagename": "none.png"}, "cannot be opened"),
        ({"imagename": "../dataset.json"}, "does not lie in"),
    ],
)
def test_a_bad_row_is_a_data_error(tmp_path: Path, row: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path, **row)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [("{}", "at least one row"), ("[1]", "at least one row"), ("{", "line 1, column 2"), ("", "line 1, column 1")],
)
def test_an_unusable_file_is_a_dataset_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        LogicVistaSource(tmp_path / "dataset.json")


def test_a_missing_file_is_a_dataset_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"check data\.path"):
        LogicVistaSource(tmp_path / "none.json")
