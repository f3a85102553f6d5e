"""`rethinker data passrate` in whole runs, one of them killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rethinker.cli import main
from rethinker.data.logicvista import FIXTURES

ROWS = 8
VERIFIER = """
import os
import time


def score(response, problem):
    time.sleep(float(os.environ["SECONDS_A_VERDICT"]))
    return len(response) % 2 == 0
"""


def command(folder: Path, model: Path, *, samples: int = 2) -> list[str]:
    """One row at a time, so that rows end one after another."""
    config = ("device=cpu", "threads=1", "engine.max_rows=2", "verifier.kind=python", "verifier.function=slow:score")
    options = ("--model", model, "--samples", samples, "--max-tokens", 8, "--to", folder / "rated.json")
    return ["data", "passrate", str(FIXTURES), *map(str, options), "--config", *config]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "slow.py").write_text(VERIFIER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setenv("SECONDS_A_VERDICT", "0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(folder: Path, model: Path) -> subprocess.Popen[str]:
    """The command in a process of its own, with verdicts that take their time: there is some left to stop it in."""
    line = [sys.executable, "-c", "from rethinker.cli import main; main()", *command(folder, model)]
    slow = os.environ | {"SECONDS_A_VERDICT": "0.5"}
    return subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=slow, preexec_fn=_heed_ctrl_c
    )


def _heed_ctrl_c() -> None:
    """Who starts a shell's background job has it ignore Ctrl-C, and the tests may run in one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def answered(folder: Path) -> list[bytes]:
    """Whole lines of the log, its settings left out."""
    log = folder / "rated.json.answers.jsonl"
    lines = log.read_bytes().splitlines(keepends=True) if log.exists() else []
    return [line for line in lines[1:] if line.endswith(b"\n")]


def test_ctrl_c_says_how_much_is_kept_and_how_to_go_on(folder: Path, tiny_folder: Path) -> None:
    with started(folder, tiny_folder) as process:
        while len(answered(folder)) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert f"stopped: {len(answered(folder))} of {ROWS} rows are noted in" in said
    assert "the same command goes on from there" in said
    assert "Traceback" not in said


def test_a_killed_run_goes_on_and_answers_no_answered_row_again(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with started(folder, tiny_folder) as process:
        while len(answered(folder)) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    before = answered(folder)
    assert 2 <= len(before) < ROWS
    assert not (folder / "rated.json").exists()
    with pytest.raises(SystemExit) as stop:
        main(command(folder, tiny_folder))
    assert not stop.value.code
    after = answered(folder)
    assert after[: len(before)] == before
    assert sorted(json.loads(line)["row"] for line in after) == list(range(ROWS))
    rates = {row: json.loads(line)["outcomes"].get("ok", 0) / 2 for line in after for row in [json.loads(line)["row"]]}
    rated = json.loads((folder / "rated.json").read_text())
    assert [row["pass_rate"] for row in rated.values()] == [rates[row] for row in range(ROWS)]
    assert f"{2 * ROWS} answers" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(command(folder, tiny_folder, samples=3))
    assert stop.value.code == 1
    assert "was begun with samples=2, and now it is 3" in capsys.readouterr().err
