"""Run folders of others': what they name is not read, what they hold is shown or refused by name."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from benchmarks.made_runs import make_run

from rethinker.errors import RunFolderError
from rethinker.report import digest, shown
from rethinker.report.page import page
from rethinker.report.reading import RunReader
from rethinker.report.write import write_page


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    make_run(folder, steps=1, groups=1, problems=1, size=2)
    return folder


def written(run: Path) -> dict[str, Any]:
    """What the page of a run holds."""
    write_page([run], run.parent / "page.html")
    text = (run.parent / "page.html").read_text(encoding="utf-8")
    told = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert told is not None
    found: dict[str, Any] = json.loads(told[1], parse_constant=lambda name: pytest.fail(name))
    return found


def rewrite(run: Path, **fields: object) -> None:
    """Other fields in every response of the run's step."""
    path = run / "rollouts" / "000001.jsonl.gz"
    rows = [json.loads(line) | fields for line in gzip.decompress(path.read_bytes()).splitlines()]
    path.write_bytes(gzip.compress(b"\n".join(json.dumps(row).encode() for row in rows)))


def image_of(run: Path) -> Path:
    return next((run / "rollouts" / "images").iterdir())


@pytest.mark.parametrize("name", ["../../../secret", "/etc/passwd", "a/b", "", "\0", "a" * 64 + "/../../secret"])
def test_an_image_is_named_by_its_hash_or_not_at_all(run: Path, name: str) -> None:
    PIL.Image.new("RGB", (9, 9)).save(run.parent / "secret.png")
    rewrite(run, image_ids=[name])
    with pytest.raises(RunFolderError, match="no SHA-256"):
        written(run)


def test_an_image_that_is_a_link_is_not_followed(run: Path) -> None:
    image = image_of(run)
    PIL.Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(run.parent / "secret.png")
    image.unlink()
    image.symlink_to(run.parent / "secret.png")
    assert written(run)["runs"][0]["rollouts"]["images"] == {}


def test_an_image_that_is_none_or_a_bomb_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "MOST_PIXELS", 100)
    with pytest.raises(RunFolderError, match="pixels"):
        written(run)
    image_of(run).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    with pytest.raises(RunFolderError, match="is damaged"):
        written(run)


def test_responses_that_unpack_without_end_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "MOST_BYTES", 1_000_000)
    (run / "rollouts" / "000001.jsonl.gz").write_bytes(gzip.compress(bytes(20_000_000)))
    with pytest.raises(RunFolderError, match="more than 1,000,000 bytes"):
        written(run)


@pytest.mark.parametrize(
    "fields",
    [
        {"response": 7},
        {"trigger": [1]},
        {"problem_id": None, "source": {"a": 1}},
        {"outcome": "ok", "extracted": []},
        {"image_ids": 5},
        {"logprobs": ["x"]},
        {"advantage": "a"},
        {"extracted": {}},
    ],
)
def test_a_response_of_other_types_is_named_with_its_file(run: Path, fields: dict[str, object]) -> None:
    rewrite(run, **fields)
    with pytest.raises(RunFolderError, match=r"000001\.jsonl\.gz is damaged"):
        written(run)


def test_numbers_that_are_not_finite_are_no_numbers_on_the_page(run: Path) -> None:
    rewrite(run, reward=float("nan"))
    (run / "metrics.jsonl").write_text('{"step": 1, "loss": NaN, "lr": 1e999}\n')
    (run / "summary.json").write_text('{"accuracy_before": Infinity}')
    told = written(run)["runs"][0]
    assert told["metrics"]["loss"] == [None]
    assert told["summary"]["accuracy_before"] is None
    assert told["rollouts"]["groups"][0]["rollouts"][0]["reward"] is None


@pytest.mark.parametrize(
    "config",
    [
        "evaluation: x",
        "evaluation: {marker: 7}",
        "a: 2001-01-01\nb: !!binary aGk=\n? 3\n: 4",
        "seed: [1, {x: .nan}]",
    ],
)
def test_a_configuration_of_anything_is_shown(run: Path, config: str) -> None:
    (run / "config.yaml").write_text(config)
    assert written(run)["runs"][0]["thinking"]["marker"] == "wait"


def test_a_bomb_of_aliases_is_refused(run: Path) -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))]
    (run / "config.yaml").write_text("\n".join(lines))
    with pytest.raises(RunFolderError, match="aliases"):
        written(run)


def test_what_is_named_like_no_step_is_passed_over(run: Path) -> None:
    (run / "rollouts" / "notes.jsonl.gz").write_bytes(b"no gzip")
    (run / "rollouts" / "000002.jsonl.gz").mkdir()
    assert len(written(run)["runs"][0]["rollouts"]["groups"]) == 1


@pytest.mark.parametrize("line", ["[1]", '{"step": 1e999}', '{"step": []}', "[" * 100_000])
def test_a_line_of_metrics_that_is_none_is_named(run: Path, line: str) -> None:
    (run / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl holds a line"):
        RunReader(run).refresh()


def test_no_text_of_a_run_becomes_an_element(run: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--"
    rewrite(run, response=hostile, question=hostile, detail=hostile)
    write_page([run], run.parent / "page.html")
    text = (run.parent / "page.html").read_text(encoding="utf-8")
    assert text.count("<script") == page({}, title="").count("<script")
    assert "<!--" not in text.partition('id="data">')[2].partition("</script>")[0]
