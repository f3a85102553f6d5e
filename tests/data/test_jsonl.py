import base64
import json
from pathlib import Path

import pytest
from PIL import Image as Pillow

from rethinker.data import jsonl
from rethinker.data.columns import Columns
from rethinker.data.jsonl import JsonlSource
from rethinker.errors import DataError, DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        Pillow.new("RGB", (40, 30), "red" if name == "a.png" else "blue").save(tmp_path / name)
    return tmp_path


def write(folder: Path, *rows: object) -> JsonlSource:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return JsonlSource(folder / "rows.jsonl")


def test_mixed_rows_with_none_one_and_two_images_load(folder: Path) -> None:
    source = write(
        folder,
        {"question": "1+1?", "answer": 2},
        {"question": "Colour?", "answer": "\\boxed{red}", "image": "a.png", "id": "own", "category": "colours"},
        {"question": "Same? <image> <image>", "answer": 0.5, "image": ["a.png", "b.png"]},
        {"question": "None.", "answer": "x^2", "image": []},
    )
    problems = [source[i] for i in range(len(source))]
    assert [p.id for p in problems] == ["rows-1", "own", "rows-3", "rows-4"]
    assert [len(p.images) for p in problems] == [0, 1, 2, 0]
    assert [p.answer for p in problems] == ["2", "red", "0.5", "x^2"]
    assert [p.verifier for p in problems] == ["number", "text", "number", "latex"]
    assert problems[1].question == "<image>Colour?"
    assert problems[1].category == "colours"
    assert problems[2].images[1].pixels[0, 0].tolist() == [0, 0, 255]
    assert problems[0].source == "rows.jsonl"


def test_choices_are_listed_and_the_answer_becomes_a_letter(folder: Path) -> None:
    problem = write(folder, {"question": "Colour?", "answer": "\\boxed{blue}", "choices": ["red", "blue"]})[0]
    assert problem.question == "Colour?\n(A) red\n(B) blue"
    assert (problem.answer, problem.verifier, problem.choices) == ("B", "choice", ("red", "blue"))


def test_a_named_verifier_is_kept(folder: Path) -> None:
    assert write(folder, {"question": "?", "answer": "1, 2", "verifier": "list"})[0].verifier == "list"
    with pytest.raises(DataError, match="line 1: column 'verifier': verifier 'lists' is unknown; use one of"):
        write(folder, {"question": "?", "answer": "1", "verifier": "lists"})[0]


def test_blank_lines_and_a_byte_order_mark_are_no_rows(folder: Path) -> None:
    (folder / "rows.jsonl").write_bytes(
        b'\xef\xbb\xbf{"question": "a?", "answer": "1"}\r\n\r\n{"question": "b?", "answer": "2"}'
    )
    source = JsonlSource(folder / "rows.jsonl")
    assert [source[i].answer for i in range(len(source))] == ["1", "2"]
    assert source.id(1) == "rows-3"


def test_the_images_folder_may_lie_elsewhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text('{"question": "?", "answer": "1", "image": "a.png"}')
    assert JsonlSource(path, images=folder)[0].images[0].pixels.shape == (30, 40, 3)
    with pytest.raises(DataError, match=r"line 1: column 'image': image .*a\.png cannot be opened"):
        JsonlSource(path)[0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            '{"question": "a?" "answer": 1}',
            r"rows\.jsonl, line 2: character 19: not valid JSON: Expecting ',' delimiter",
        ),
        ('["a?", 1]', "line 2: expected a JSON object"),
        ('{"question": "a?", "answer": NaN}', "line 2: .*NaN"),
        ("[" * 100_000, "line 2: not usable JSON"),
        ({"question": "a?"}, "line 2: column 'answer': expected text or a number, got nothing"),
        ({"question": "a?", "answer": None}, "line 2: column 'answer': expected text or a number, got nothing"),
        ({"question": "a?", "answer": ""}, "line 2: column 'answer': expected text or a number, got nothing"),
        ({"question": "a?", "answer": True}, "line 2: column 'answer': expected text or a number, got true"),
        ({"question": "a?", "answer": ["1"]}, "line 2: column 'answer': expected text or a number, got \\[\"1\"\\]"),
        ({"answer": "1"}, "line 2: column 'question' or 'problem': expected text"),
        ({"question": "<image><image>?", "answer": "1", "image": "a.png"}, "1 images but 2 <image> marks"),
        ({"question": "<image>?", "answer": "1"}, "0 images but 1 <image> marks"),
        (
            {"question": "a?", "answer": "1", "image": "../a.png"},
            "'image': image path '../a.png' does not lie in",
        ),
        (
            {"question": "a?", "answer": "1", "image": "/a.png"},
            "'image': image path '/a.png' does not lie in",
        ),
        (
            {"question": "a?", "answer": "1", "image": {"url": ""}},
            "line 2: column 'image': expected an image .*, got dict",
        ),
        ({"question": "a?", "answer": "C", "choices": ["x", "y"]}, "line 2: answer 'C' fits 0"),
        ({"question": "a?", "answer": "1", "id": "first"}, "line 2: column 'id': 'first' stands on line 1 already"),
    ],
)
def test_a_bad_row_is_a_data_error_and_its_neighbours_load(folder: Path, row: object, message: str) -> None:
    good = {"question": "a?", "answer": "1"}
    source = write(folder, {**good, "id": "first"}, row, {**good, "id": "last"})
    assert len(source) == 3
    assert (source[0].id, source[2].id) == ("first", "last")
    with pytest.raises(DataError, match=message):
        source[1]
    assert source.id(1)


def test_an_id_given_by_position_may_not_repeat_a_written_one(folder: Path) -> None:
    source = write(folder, {"question": "a?", "answer": "1", "id": "rows-2"}, {"question": "b?", "answer": "1"})
    with pytest.raises(DataError, match="'rows-2' stands on line 1 already"):
        source[1]


def test_a_line_that_is_not_utf8_names_its_byte(folder: Path) -> None:
    (folder / "rows.jsonl").write_bytes(b'{"question": "\xff"}\n')
    with pytest.raises(DataError, match="line 1: byte 15: not UTF-8"):
        JsonlSource(folder / "rows.jsonl")[0]


def test_a_truncated_image_is_a_data_error_that_names_line_and_file(folder: Path) -> None:
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"line 1: column 'image': image .*a\.png is damaged or truncated"):
        write(folder, {"question": "a?", "answer": "1", "image": "a.png"})[0]


def test_a_missing_or_empty_file_is_a_dataset_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        JsonlSource(tmp_path / "none.jsonl")
    with pytest.raises(DatasetError, match="cannot be read"):
        JsonlSource(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n \n")
    with pytest.raises(DatasetError, match="is empty"):
        JsonlSource(tmp_path / "empty.jsonl")


def test_an_outline_tells_question_and_sizes_without_decoding(folder: Path) -> None:
    source = write(folder, {"question": "Same?", "answer": 0, "image": ["a.png", "b.png"], "choices": [0, 1]})
    outline, problem = source.outline(0), source[0]
    assert (outline.id, outline.question) == (problem.id, problem.question)
    assert outline.image_sizes == ((30, 40), (30, 40))
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:60])
    assert source.outline(0) == outline
    with pytest.raises(DataError, match=r"line 1: column 'image\[0\]': image .*a\.png is damaged"):
        source[0]


def test_images_come_in_base64_too(folder: Path) -> None:
    plain = base64.b64encode((folder / "a.png").read_bytes()).decode()
    source = write(
        folder,
        {"question": "Same?", "answer": 0, "images": [plain, f"data:image/png;base64,{plain}", "a.png"]},
    )
    first, second, third = source[0].images
    assert first.id == second.id == third.id
    assert source.outline(0).image_sizes == ((30, 40),) * 3


def test_the_columns_of_other_data_sets_are_known_or_named(folder: Path) -> None:
    row = {"problem": "a?", "answer": "1", "images": ["a.png"], "qid": 7, "source": "a book"}
    problem = write(folder, row)[0]
    assert (problem.id, problem.question, problem.source) == ("7", "<image>a?", "a book")
    (folder / "rows.jsonl").write_text(json.dumps({"Frage": "a?", "Antwort": 1}))
    source = JsonlSource(folder / "rows.jsonl", columns=Columns(question=("Frage",), answer=("Antwort",)))
    assert (source[0].question, source[0].answer) == ("a?", "1")


@pytest.mark.parametrize(
    ("row", "columns", "message"),
    [
        ({"prompt": "?", "answer": 1}, Columns(), r"no column 'question' or 'problem', .* it has prompt, answer: name"),
        ({"question": "?", "solution": 1}, Columns(), r"name the right one in data\.columns\.answer"),
        ({"question": "?", "answer": 1}, Columns(images=("pictures",)), r"no column 'pictures', expected to hold the"),
    ],
)
def test_a_column_that_no_row_has_is_said_at_once(
    folder: Path, row: dict[str, object], columns: Columns, message: str
) -> None:
    (folder / "rows.jsonl").write_text("{damaged\n" + f"{json.dumps(row)}\n" * 3)
    with pytest.raises(DatasetError, match=message):
        JsonlSource(folder / "rows.jsonl", columns=columns)


def test_a_column_that_a_later_row_has_is_there(folder: Path) -> None:
    source = write(folder, {"question": "a?", "note": ""}, {"question": "b?", "answer": "1"})
    assert source[1].answer == "1"


def test_an_empty_column_leaves_its_place_to_the_next_name(folder: Path) -> None:
    rows = [
        {"question": "", "problem": "a?", "answer": "1", "images": [], "image": "a.png"},
        {"question": "Colour?", "answer": "B", "choices": [], "options": ["red", "blue"]},
        {"question": "How many?", "answer": "6", "options": []},
    ]
    source = write(folder, *rows)
    first, second, third = (source[row] for row in range(3))
    assert (first.question, len(first.images)) == ("<image>a?", 1)
    assert (second.answer, second.choices) == ("B", ("red", "blue"))
    assert (third.verifier, third.choices) == ("number", ())


def test_images_come_in_the_order_of_their_numbered_marks(folder: Path) -> None:
    problem = write(folder, {"question": "<image 2> or <image 1>?", "answer": "1", "images": ["a.png", "b.png"]})[0]
    assert problem.question == "<image> or <image>?"
    assert [image.pixels[0, 0].tolist() for image in problem.images] == [[0, 0, 255], [255, 0, 0]]


def test_a_line_beyond_the_bound_is_a_bad_row_that_is_never_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 100)
    good = {"question": "a?", "answer": "1"}
    source = write(folder, good, {**good, "image": "x" * 1000}, good, good | {"note": "y" * 500})
    assert [source.id(i) for i in range(len(source))] == ["rows-1", "rows-2", "rows-3", "rows-4"]
    assert source[2].question == "a?"
    for index in (1, 3):
        with pytest.raises(DataError, match=f"line {index + 1}: the line is longer than 100 bytes"):
            source[index]
