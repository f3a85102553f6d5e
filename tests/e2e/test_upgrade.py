"""A run folder of the format before this one, as it was committed then: resumed, reported, exported, or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.e2e import runs

from rethinker.report.reading import RunReader
from rethinker.runs.checkpoints import chosen_checkpoint, verified
from rethinker.runs.format import FORMAT
from rethinker.runs.trackers import read_metrics

BEFORE = Path(__file__).parents[1] / "fixtures" / f"run_format_{FORMAT - 1}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "looks.py").write_text(runs.VERIFIER)
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(BEFORE, tmp_path / "run"))


def says(path: Path, **said: object) -> None:
    document = json.loads(path.read_bytes()) if path.exists() else {}
    path.write_text(json.dumps(document | said))


def test_a_run_of_the_format_before_resumes_and_has_todays_format_then(run: Path) -> None:
    kept = (run / "metrics.jsonl").read_bytes()
    weights = run / "checkpoints" / "step-000002" / "hf"
    assert not (run / "format.json").exists()
    assert runs.rethinker("train", "--resume", run, "train.steps=4", f"model.path={weights}") == 0
    assert (run / "metrics.jsonl").read_bytes().startswith(kept)
    assert [row["step"] for row in read_metrics(run / "metrics.jsonl")] == [1, 2, 3, 4]
    assert json.loads((run / "format.json").read_text())["format"] == FORMAT
    assert json.loads((run / "checkpoints" / "step-000004" / "meta.json").read_text())["format"] == FORMAT


def test_a_run_of_the_format_before_is_reported_and_its_weights_are_exported(run: Path) -> None:
    assert runs.rethinker("report", run, "--to", "page.html") == 0
    assert runs.rethinker("export", run, "--to", "weights") == 0
    assert "second look" in Path("page.html").read_text(encoding="utf-8").lower()
    assert Path("weights/model.safetensors").stat().st_size > 0
    reader = RunReader(run)
    reader.refresh()
    assert (len(reader.rows), len(reader.digests)) == (2, 2)
    assert verified(chosen_checkpoint(run / "checkpoints", "last")).step == 2


@pytest.mark.parametrize("where", ["format.json", "checkpoints/step-000002/meta.json"])
def test_a_later_format_is_refused_with_how_to_convert(
    run: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    says(run / where, format=FORMAT + 1, rethinker="9.9.9")
    weights = run / "checkpoints" / "step-000002" / "hf"
    assert runs.rethinker("train", "--resume", run, "train.steps=4", f"model.path={weights}") != 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"format {FORMAT + 1}, written by rethinker 9.9.9" in said
    assert "converted by resuming it" in said
    assert runs.metrics(run)[-1]["step"] == 2


def test_a_page_refuses_a_later_format_too(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    says(run / "format.json", format=FORMAT + 1)
    assert runs.rethinker("report", run) != 0
    assert f"format {FORMAT + 1}, written by a later release" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "two"}', '{"format": 0}', '{"format": null}'])
def test_a_format_that_never_was_is_refused(run: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "format.json").write_text(text)
    assert runs.rethinker("report", run) != 0
    assert "format" in capsys.readouterr().err
