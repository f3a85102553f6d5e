"""The data commands as a user types them: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.making_images import png
from tests.data.real_pictures import LOGICVISTA, MATHVISION, real_pictures
from tests.data.virl_rows import RATES, virl_row, write_virl

from rethinker.cli import main
from rethinker.data.logicvista import FIXTURES
from rethinker.data.opening import open_source


def run(*arguments: object) -> int:
    """Exit status of `rethinker data …`."""
    with pytest.raises(SystemExit) as stop:
        main(["data", *map(str, arguments)])
    return int(stop.value.code or 0)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one-line error of a command that must fail."""
    assert run(*arguments) == 1
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert shown.startswith("error: ")
    return shown


@pytest.fixture
def virl(tmp_path: Path) -> Path:
    return write_virl(tmp_path / "virl")


def test_check_reports_and_lists_the_bad_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [virl_row(number, 0.5) for number in range(4)]
    rows[1]["image"], rows[2]["question"] = ["images/none.png"], "<image> or <image>?"
    file = write_virl(tmp_path, rows)
    assert run("check", file, "--to", tmp_path / "bad.jsonl", "--json", tmp_path / "r.json", "--workers", 2) == 0
    bad = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [(row["file"], row["row"], row["column"], row["reason"]) for row in bad] == [
        (str(file), 1, "image[0]", "image"),
        (str(file), 2, "question", "marks"),
    ]
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["rows"], report["good"], report["images"]) == (4, 2, 2)
    assert report["reasons"] == {"row": 0, "marks": 1, "image": 1, "answer": 0, "prompt": 0}
    shown = capsys.readouterr()
    assert "checking rows  4/4" in shown.err
    assert "<image> marks and images differ" in shown.out
    assert "rows.parquet, row 1" in shown.out


def test_check_measures_prompts_under_a_model(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        '{"question": "One and one?", "answer": "2"}\n' + json.dumps({"question": "long " * 300, "answer": "2"}) + "\n"
    )
    limits = ("--model", tiny_folder, "--max-tokens", 200, "--config", "device=cpu", "threads=1")
    assert run("check", tmp_path / "rows.jsonl", *limits, "--json", tmp_path / "r.json") == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert [(row["row"], row["reason"]) for row in report["findings"]] == [(1, "prompt")]
    assert report["longest_prompt"] > 200


def test_check_says_how_many_images_it_saw_and_which_columns_it_did_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"question": f"{number}?", "answer": "1", "img": "a.png", "note": ""} for number in range(2)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("check", tmp_path / "rows.jsonl", "--json", tmp_path / "r.json") == 0
    shown = capsys.readouterr().out
    assert "0 images in the good rows" in shown
    assert "columns not read: img, note" in shown
    assert json.loads((tmp_path / "r.json").read_text())["columns_not_read"] == ["img", "note"]
    run("check", FIXTURES)
    shown = capsys.readouterr().out
    assert "8 images in the good rows" in shown
    assert "imagename" not in shown


@real_pictures
def test_check_reads_mathvs_options_and_finds_the_marks_of_pictures_drawn_into_one(tmp_path: Path) -> None:
    assert run("check", MATHVISION, "--json", tmp_path / "r.json") == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["columns_not_read"] == ["solution", "level", "subject"]
    assert report["reasons"] == {"row": 0, "marks": 58, "image": 0, "answer": 0, "prompt": 0}


def test_check_exits_with_1_when_no_row_is_good(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "?", "answer": ""}\n')
    assert run("check", tmp_path / "rows.jsonl") == 1


@pytest.mark.parametrize(
    ("subset", "kept", "paper"),
    [("virl-7b", [1, 2, 3, 5], "about 16K"), ("virl-32b", [0, 1], "18,785")],
)
def test_select_keeps_a_named_subset_and_says_the_papers_count(
    virl: Path, capsys: pytest.CaptureFixture[str], subset: str, kept: list[int], paper: str
) -> None:
    to = virl.parent / "chosen.parquet"
    assert run("select", virl, "--to", to, "--subset", subset) == 0
    assert pq.read_table(to).to_pylist() == [pq.read_table(virl).to_pylist()[row] for row in kept]
    shown = " ".join(capsys.readouterr().out.split())
    assert paper in shown
    assert f"wrote {len(kept)} rows" in shown
    assert "images are found where the new file lies" in shown
    assert open_source(to)[0].images[0].pixels.shape == (30, 40, 3)


def test_select_lays_conditions_over_each_other(virl: Path, tmp_path: Path) -> None:
    conditions = ("--pass-rate", "PassRate_7BBase", 0.1, 0.9, "--category", "Charts", "Geometry", "--limit", 2)
    result = ("--to", tmp_path / "a.parquet", "--json", tmp_path / "r.json")
    assert run("select", virl, *conditions, *result, "--source", "one set") == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert list(found["left"].values()) == [3, 3, 2, 2]
    assert found["kept"] == [1, 2]


def test_select_says_where_the_images_stay(virl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = tmp_path / "elsewhere" / "a.parquet"
    assert run("select", virl, "--to", to) == 0
    assert f"give --images {virl.parent}" in capsys.readouterr().out
    assert open_source(to, images=virl.parent)[0].images[0].pixels.shape == (30, 40, 3)


def test_overlap_is_found_and_dropped(virl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = tmp_path / "bench"
    bench.mkdir()
    (bench / "same.png").write_bytes(png(20))
    question = virl_row(4, 0.0)["question"].removeprefix("<image>\n").upper()
    rows = [{"question": "What?", "answer": "1", "image": "same.png"}, {"question": question, "answer": "4"}]
    (bench / "bench.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("overlap", virl, "--with", bench / "bench.jsonl", "--to", tmp_path / "o.json") == 0
    found = json.loads((tmp_path / "o.json").read_text())
    assert [(row["id"], row["kind"], row["other_id"]) for row in found["overlaps"]] == [
        ("set-2", "same_image", "bench-1"),
        ("set-4", "question", "bench-2"),
    ]
    assert "2 of 6 rows overlap" in capsys.readouterr().out
    chosen = virl.parent / "clean.parquet"
    assert run("select", virl, "--to", chosen, "--drop-overlap", tmp_path / "o.json") == 0
    assert pq.read_table(chosen).column("qid").to_pylist() == ["set-0", "set-1", "set-3", "set-5"]
    message = refused(capsys, "select", chosen, "--to", tmp_path / "x.parquet", "--drop-overlap", tmp_path / "o.json")
    assert "was made for another content" in message


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_overlap_compares_an_evaluation_set_that_hides_its_answers_or_draws_figures_into_one(
    tmp_path: Path, kind: str
) -> None:
    rows = [{"question": f"How many of the red shapes stand left of number {number}?"} for number in range(3)]
    (tmp_path / "ours.jsonl").write_text("".join(json.dumps({**row, "answer": "1"}) + "\n" for row in rows))
    rows[1]["question"] = f"<image1> <image2> {rows[1]['question']}"
    bench = tmp_path / f"bench.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), bench)
    else:
        bench.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("overlap", tmp_path / "ours.jsonl", "--with", bench, "--to", tmp_path / "o.json") == 0
    found = json.loads((tmp_path / "o.json").read_text())
    assert [(row["row"], row["kind"]) for row in found["overlaps"]] == [(row, "question") for row in range(3)]


def test_overlap_with_a_set_of_which_no_row_can_be_compared_is_an_error(
    virl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bench.jsonl").write_text('{"question": "?", "image": "none.png"}\n' * 2)
    assert run("overlap", virl, "--with", tmp_path / "bench.jsonl", "--to", tmp_path / "o.json") == 1
    message = capsys.readouterr().err
    assert "bench.jsonl can be compared; the first: " in message
    assert "none.png cannot be opened" in message
    assert not (tmp_path / "o.json").exists()


def test_stats_are_printed_and_written(virl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stats", virl, "--json", tmp_path / "s.json") == 0
    found = json.loads((tmp_path / "s.json").read_text())
    assert (found["rows"], found["unreadable"], found["categories"]) == (len(RATES), 0, {"Charts": 3, "Geometry": 3})
    shown = capsys.readouterr().out
    assert "Geometry" in shown
    assert "pass rate, PassRate_7BBase" in shown


def test_preview_writes_one_page(tmp_path: Path) -> None:
    assert run("preview", FIXTURES, "--to", tmp_path / "new" / "page.html", "--rows", 3) == 0
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert page.count("<article>") == page.count("data:image/webp") == 3
    assert "logicvista/dataset.json" in page


@real_pictures
def test_logicvista_selects_its_own_rows_beside_its_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("select", LOGICVISTA, "--to", tmp_path / "few.json", "--limit", 5) == 0
    assert f"keep the new one in {LOGICVISTA.parent}" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "few.json").read_text())) == 5


@pytest.mark.parametrize("command", [["check"], ["select", "--to", "o.json"]])
def test_a_list_of_rows_named_json_is_to_be_written_as_json_lines(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.json").write_text('[{"question": "?", "answer": "1"}]')
    assert "a list of rows is written as JSON lines (.jsonl)" in refused(
        capsys, command[0], tmp_path / "rows.json", *command[1:]
    )


@pytest.mark.parametrize("command", ["check", "stats", "preview", "select", "overlap", "passrate"])
def test_every_command_refuses_what_is_no_file_of_rows(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {
        "select": ["--to", tmp_path / "o.jsonl"],
        "overlap": ["--to", tmp_path / "o.json", "--with", FIXTURES],
        "passrate": ["--to", tmp_path / "o.jsonl", "--model", "tiny"],
    }.get(command, [])
    (tmp_path / "empty.jsonl").write_text("\n")
    assert "is a URL; nothing is fetched" in refused(capsys, command, "https://example.org/a.jsonl", *more)
    assert "there is no such file or folder" in refused(capsys, command, tmp_path / "none.jsonl", *more)
    assert "is empty" in refused(capsys, command, tmp_path / "empty.jsonl", *more)
    assert "is no data file" in refused(capsys, command, __file__, *more)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["check", "{virl}", "--to", "{here}/file/bad.jsonl"], "cannot write"),
        (["check", "{virl}", "--json", "{here}"], "it is a folder"),
        (["check", "{virl}", "--max-tokens", "9"], "name it with --model"),
        (["check", "{virl}", "--columns", "prompt=question"], "write FIELD=COLUMN with a field of question, answer"),
        (["check", "{virl}", "--columns", "prompt"], "error: prompt names no column"),
        (["stats", str(FIXTURES), "--columns", "question=q"], "whose columns have names of their own"),
        (["check", str(FIXTURES), "--images", "{virl}"], "whose images lie in images/ beside it; leave --images out"),
        (["check", "{virl}", "--workers", "0"], "leaves nobody to work"),
        (["select", "{virl}", "--to", "{here}/file/a.parquet"], "cannot write"),
        (["select", "{virl}", "--to", "{here}/a.jsonl"], "name it *.parquet"),
        (["select", "{virl}", "--to", "{virl}"], "is a file that is read"),
        (["select", "{virl}", "--to", "{here}/a.parquet", "--pass-rate", "PassRate", "0", "1"], "did you mean"),
        (["select", "{virl}", "--to", "{here}/a.parquet", "--pass-rate", "x", "low", "1"], "expected COLUMN LOW HIGH"),
        (["select", "{virl}", "--to", "{here}/a.parquet", "--category", "Chart"], "did you mean 'Charts'"),
        (["select", "{virl}", "--to", "{here}/a.parquet", "--limit", "0"], "leaves no row"),
        (["select", "{virl}", "--to", "{here}/a.parquet", "--drop-overlap", "{here}/file"], "is no result of"),
        (
            ["select", "{virl}", "--to", "{here}/a.parquet", "--pass-rate", "PassRate_7BBase", "2", "3"],
            "no row is left",
        ),
        (["stats", "{virl}", "--json", "{here}/file/s.json"], "cannot write"),
        (["preview", "{virl}", "--to", "{here}/file/p.html"], "cannot write"),
        (["preview", "{virl}", "--rows", "0"], "shows nothing"),
        (["overlap", "{virl}", "--with", "{here}/none.jsonl", "--to", "{here}/o.json"], "no such file"),
        (["overlap", "{virl}", "--with", "{virl}", "--to", "{here}/o.json", "--distance", "40"], "give 0 to 31"),
        (["passrate", "{virl}", "--model", "tiny", "--to", "{here}/a.parquet", "--samples", "0"], "asks nothing"),
        (["passrate", "{virl}", "--model", "tiny", "--to", "{here}/a.parquet", "--column", "qid"], "has such a column"),
        (["passrate", "{virl}", "--model", "{here}/none", "--to", "{here}/a.parquet"], "there is no model"),
    ],
)
def test_a_wrong_argument_is_refused_before_the_work(
    arguments: list[str], complaint: str, virl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("a file, no folder")
    given = [argument.format(virl=virl, here=tmp_path) for argument in arguments]
    assert complaint in " ".join(refused(capsys, *given).split())
    assert not list(tmp_path.glob("a.*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "{rows}", "--to", "{rows}"],
        ["check", "{rows}", "--json", "{here}/link.jsonl"],
        ["stats", "{rows}", "--json", "{rows}"],
        ["preview", "{rows}", "--to", "{rows}"],
        ["select", "{rows}", "--to", "{rows}"],
        ["select", "{rows}", "--to", "{other}", "--json", "{rows}"],
        ["select", "{rows}", "--to", "{here}/new.jsonl", "--drop-overlap", "{other}", "--json", "{other}"],
        ["overlap", "{rows}", "--with", "{other}", "--to", "{rows}"],
        ["overlap", "{rows}", "--with", "{other}", "--to", "{other}"],
        ["overlap", "{rows}", "--with", "{here}/set", "--to", "{here}/set/train-0.parquet"],
        ["passrate", "{rows}", "--model", "tiny", "--to", "{here}/new.jsonl"],
        ["select", "{here}/set", "--to", "{here}/set/sub/chosen.parquet"],
    ],
)
def test_no_command_writes_over_what_it_reads(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"rows": tmp_path / "new.jsonl.answers.jsonl", "other": tmp_path / "other.jsonl", "here": tmp_path}
    for name in ("rows", "other"):
        names[name].write_text('{"question": "One and one?", "answer": "2"}\n')
    (tmp_path / "link.jsonl").symlink_to(names["rows"])
    shard = tmp_path / "set" / "train-0.parquet"
    shard.parent.mkdir()
    pq.write_table(pa.table({"question": ["One and one?"], "answer": ["2"]}), shard)
    before = {path: path.read_bytes() for path in (names["rows"], names["other"], shard)}
    message = refused(capsys, *(argument.format(**names) for argument in arguments))
    assert any(reason in message for reason in ("is a file that is read", "would become a shard"))
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    "more",
    [
        ["check", "--json", "{here}/r.json"],
        ["check", "--model", "{tiny}", "--config", "device=cpu", "threads=1"],
        ["stats", "--json", "{here}/r.json"],
        ["preview", "--to", "{here}/p.html"],
        ["select", "--category", "counting", "--to", "{here}/o.jsonl"],
        ["overlap", "--with", "{rows}", "--with-columns", "question=prompt", "images=pic", "--to", "{here}/o.json"],
    ],
)
def test_every_command_takes_the_names_of_columns(
    more: list[str], tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_renamed(tmp_path)
    columns = ("--columns", "question=prompt", "answer=solution", "images=pic", "category=kind")
    command, *options = (option.format(here=tmp_path, rows=rows, tiny=tiny_folder) for option in more)
    assert "--columns question=…" in refused(capsys, command, rows, *options) or command == "select"
    assert run(command, rows, *options, *columns) == 0
    assert "unusable" not in capsys.readouterr().out
    if command == "overlap":
        assert len(json.loads((tmp_path / "o.json").read_text())["overlaps"]) == 2


def write_renamed(folder: Path) -> Path:
    """Two rows with a picture, in columns of unusual names."""
    (folder / "a.png").write_bytes(png(7))
    row = {"prompt": "How many?", "solution": "3", "pic": "a.png", "kind": "counting"}
    (folder / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 2)
    return folder / "rows.jsonl"


def test_the_data_section_of_the_settings_holds_for_its_own_file_and_is_said_to_be_left_out_for_another(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_renamed(tmp_path)
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"data: {{kind: jsonl, path: {rows}, max_image_pixels: 100, "
        "columns: {question: prompt, answer: solution, images: pic}}"
    )
    check = ("check", rows, "--model", tiny_folder, "--config", recipe, "device=cpu", "threads=1")
    assert run(*check) == 1
    shown = capsys.readouterr()
    assert "column 'pic': image" in shown.out
    assert "more than the 100 allowed" in shown.out
    assert run(*check, "data.max_image_pixels=100000", "--columns", "answer=kind") == 0
    assert run(*check, f"data.path={tmp_path / 'other.jsonl'}") == 1
    shown = capsys.readouterr().err
    assert "the data section of --config is about" in shown
    assert "no column 'question'" in shown


def test_a_file_without_the_columns_of_a_problem_says_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_virl(tmp_path)
    pq.write_table(pq.read_table(file).drop_columns(["answer"]), file)
    assert "no column 'answer'" in refused(capsys, "check", file)
