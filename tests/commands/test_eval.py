"""`rethinker eval` as a user runs it, on folders in the hub's schema; one run is killed in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.evaluation.hub_folders import WRITERS, write_hub_folders
from tests.evaluation.stub_judge import said, stub_judge

from rethinker.cli import main

CONFIG = ("--config", "device=cpu", "threads=1")
QUESTIONS = {"mathvista": 4, "mathvision": 4, "mmmu": 6, "mmmu_pro": 3, "mathverse": 10, "emma": 7, "megabench": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    write_hub_folders(root)
    return root


def command(model: Path, data: Path, to: Path, *names: str, options: tuple[str, ...] = ()) -> list[str]:
    given = ("--benchmarks", ",".join(names), "--data", data, "--to", to, "--max-tokens", 16, "--workers", 1, *options)
    return ["eval", str(model), *map(str, given), *CONFIG]


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("protocol", "names"), [("official", tuple(WRITERS)), ("boxed", tuple(n for n in WRITERS if n != "megabench"))]
)
def test_a_model_is_evaluated_on_all_benchmarks_at_once(
    protocol: str,
    names: tuple[str, ...],
    tiny_folder: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(command(tiny_folder, data, tmp_path, *names, options=("--protocol", protocol))) == 0
    out = capsys.readouterr().out
    overall = json.loads((tmp_path / "results.json").read_text())["benchmarks"]
    assert set(overall) == set(names)
    for name in names:
        rows, answers = lines(tmp_path / name / "rows.jsonl"), lines(tmp_path / name / "answers.jsonl")
        assert len(rows) == len(answers) == QUESTIONS[name]
        assert [row["id"] for row in rows] == [answer["id"] for answer in answers]
        assert {"id", "sample", "prompt", "response", "extracted", "correct", "score", "why", "labels"} <= set(rows[0])
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert (result["protocol"], result["counts"]["questions"]) == (protocol, QUESTIONS[name])
        assert set(result["seconds"]) == {"answers", "generation", "scoring", "rest"}
        assert name in out
    if protocol == "official":
        assert "1 rows not scored: a judge scores it" in out
        assert overall["mathvista"]["scoring"] == "rules, without the judge"


def test_a_killed_run_goes_on_asks_no_answered_question_again_and_ends_in_the_same_bytes(
    tiny_folder: Path, data: Path, tmp_path: Path
) -> None:
    options = ("--samples", "4", "--rethink", "forced", "--protocol", "boxed")
    few = [*command(tiny_folder, data, tmp_path / "killed", "mathverse", options=options), "engine.max_rows=1"]
    file = tmp_path / "killed" / "mathverse" / "answers.jsonl"
    started = [sys.executable, "-c", "from rethinker.cli import main; main()", *few]
    with subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not file.exists() or file.read_bytes().count(b"\n") < 3:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    with file.open("ab") as half:
        half.write(b'{"id": "1", "sam')
    before = set(file.read_bytes().splitlines()[:-1])
    assert 3 <= len(before) < 40
    assert run(few) == 0
    assert before < set(file.read_bytes().splitlines())
    result = json.loads((tmp_path / "killed" / "mathverse" / "result.json").read_text())
    assert result.pop("seconds")["answers"] == 40 - len(before)
    assert (
        run([*command(tiny_folder, data, tmp_path / "whole", "mathverse", options=options), "engine.max_rows=1"]) == 0
    )
    whole = json.loads((tmp_path / "whole" / "mathverse" / "result.json").read_text())
    assert whole.pop("seconds")["answers"] == 40
    assert result == whole
    for name in ("answers.jsonl", "rows.jsonl"):
        killed = (tmp_path / "killed" / "mathverse" / name).read_bytes()
        assert killed == (tmp_path / "whole" / "mathverse" / name).read_bytes()


def test_other_settings_do_not_go_on_with_these_answers(
    tiny_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command(tiny_folder, data, tmp_path, "mmmu_pro", options=("--limit", "2"))) == 0
    assert len(lines(tmp_path / "mmmu_pro" / "rows.jsonl")) == 2
    assert run(command(tiny_folder, data, tmp_path, "mmmu_pro", options=("--protocol", "boxed"))) == 1
    assert "holds answers with protocol='official', and now protocol is 'boxed'" in capsys.readouterr().err
    assert run(command(tiny_folder, data, tmp_path, "mmmu_pro")) == 0
    assert len(lines(tmp_path / "mmmu_pro" / "rows.jsonl")) == 3


def test_a_setting_has_a_folder_of_its_own(tiny_folder: Path, data: Path, tmp_path: Path) -> None:
    assert run(command(tiny_folder, data, tmp_path, "mmmu_pro", options=("--setting", "vision"))) == 0
    assert len(lines(tmp_path / "mmmu_pro-vision" / "rows.jsonl")) == 3


def test_a_bad_picture_is_named_and_counts_as_wrong(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_hub_folders(tmp_path / "data", ["megabench"])
    (tmp_path / "data" / "megabench" / "data" / "Coding" / "02.png").write_bytes(b"no picture")
    assert run(command(tiny_folder, tmp_path / "data", tmp_path / "out", "megabench")) == 0
    out = capsys.readouterr().out
    assert "counts as wrong: it could not be asked" in out
    assert "02.png" in out
    assert [row["outcome"] for row in lines(tmp_path / "out" / "megabench" / "rows.jsonl")].count("unasked") == 1


def test_a_judge_scores_where_the_protocol_asks_one(
    tiny_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stub_judge(said("1")) as judge:
        options = ("--judge", judge.url, "--judge-model", "stub", "--setting", "mathverse=vision_only")
        assert run(command(tiny_folder, data, tmp_path, "mathverse", "mmmu", options=options)) == 0
    overall = json.loads((tmp_path / "results.json").read_text())["benchmarks"]
    assert overall["mathverse-vision_only"]["scoring"] == "judge stub"
    assert overall["mathverse-vision_only"]["accuracy"] == 1.0
    assert overall["mmmu"]["scoring"] == "rules"
    assert "judge stub at" in capsys.readouterr().out


def test_a_judge_that_talks_nonsense_leaves_rows_unscored_named_and_exits_3(
    tiny_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stub_judge(said("perhaps")) as judge:
        options = ("--judge", judge.url, "--judge-model", "stub", "--limit", "1")
        assert run(command(tiny_folder, data, tmp_path, "mathverse", options=options)) == 3
    out = capsys.readouterr().out
    assert "unjudged: id '1': the judge answered 'perhaps'" in out
    assert "1 answers are unjudged and in no accuracy" in out
    result = json.loads((tmp_path / "mathverse" / "result.json").read_text())
    assert (result["accuracy"], result["counts"]["unjudged"]) == (None, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--benchmarks", "mathvisto"), "there is no benchmark 'mathvisto'; choose one of"),
        (("--benchmarks", ","), "--benchmarks names none"),
        (("--benchmarks", "emma", "--limit", "0"), "--limit 0 asks nothing"),
        (("--benchmarks", "emma", "--samples", "0"), "--samples 0 asks nothing"),
        (("--benchmarks", "emma,mmmu", "--setting", "mini"), "write BENCHMARK=SETTING with a benchmark of emma, mmmu"),
        (("--benchmarks", "emma", "--samples", "2", "--temperature", "0"), "are all the same; raise the temperature"),
        (("--benchmarks", "emma", "--judge", "http://a"), "belong together"),
        (("--benchmarks", "emma", "--run-code"), "--run-code: of emma none runs programs"),
        (
            ("--benchmarks", "mathvista", "--protocol", "boxed", "--judge", "http://a", "--judge-model", "m"),
            "asks no judge",
        ),
        (("--benchmarks", "emma", "--data", "/nowhere"), "emma is missing: emma is read from this folder"),
        (("--benchmarks", "mmmu"), "--max-tokens 8192 leaves no room for a question"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_asked(
    arguments: tuple[str, ...],
    message: str,
    tiny_folder: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["eval", str(tiny_folder), "--data", str(data), "--to", str(tmp_path), *arguments]) == 1
    assert message in capsys.readouterr().err
