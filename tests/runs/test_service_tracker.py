"""Services are told what the run folder holds, in processes of their own; one that fails or hangs is let go."""

import json
import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rethinker.runs.service_tracker import ServiceTracker
from rethinker.runs.shown import Showing

TRACKIO = Path(sys.prefix) / "trackio"
"""What trackio needs beside our own versions; `make test` puts it there."""

METRICS = {"reward/mean": 0.5, "policy/loss": float("nan"), "eval/accuracy": None, "groups/mixed": 1}


def tracker(kind: str, folder: Path, *, patience: float = 60.0) -> ServiceTracker:
    return ServiceTracker(
        kind,
        folder / kind,
        project="looking",
        run="tiny-1",
        settings={"seed": 3, "learner.lr": 1e-4},
        showing=Showing(every=2, count=2),
        patience=patience,
    )


def tell(kind: str, folder: Path, experiences) -> None:
    """A run of three steps, killed after the second and resumed."""
    first = tracker(kind, folder)
    for step in (1, 2):
        first.log(step, METRICS)
        first.show(step, experiences)
    first.close()
    second = tracker(kind, folder)
    second.cut_back(2)
    second.log(3, METRICS)
    second.close()


@pytest.fixture
def experiences(make_group, make_image):
    return make_group("p1", image=make_image(0), rethought=1)


def wandb_history(file: bytes) -> Iterator[dict[str, object]]:
    """What was logged, from a .wandb file: records in blocks of 32 KiB, as LevelDB's log has them."""
    from wandb.proto.wandb_internal_pb2 import Record

    whole = b""
    at = 7  # of the file's own header
    while at + 7 <= len(file):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", file, at + 4)
        whole += file[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record, whole = Record.FromString(whole), b""
            items = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            if said := {key: value for key, value in items.items() if not key.startswith("_")}:
                yield said


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have the service's process find this in wandb's place."""
    (folder / "stand_in").mkdir()
    (folder / "stand_in" / "wandb.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder / "stand_in"), os.environ.get("PYTHONPATH", ""))))


def test_wandb_is_told_the_same_names_and_shown_responses_with_images(tmp_path, monkeypatch, experiences, caplog):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tell("wandb", tmp_path, experiences)
    files = sorted((tmp_path / "wandb" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2
    assert len({path.stem for path in files}) == 1  # the resumed run goes on under its own id
    numbers = [line for path in files for line in wandb_history(path.read_bytes())]
    assert [line for line in numbers if "rollouts._type" not in line] == [
        {"step": step, "reward/mean": 0.5, "groups/mixed": 1.0} for step in (1, 2, 3)
    ]
    (shown,) = [line for line in numbers if "rollouts._type" in line]
    assert (shown["step"], shown["rollouts.nrows"], shown["rollouts/images.count"]) == (2, 2, 2)
    assert shown["rollouts/images.captions"] == ["p1", "p1"]
    pictures = list((tmp_path / "wandb" / "wandb").glob("offline-run-*/files/media/images/rollouts/*.png"))
    assert len(pictures) == 1  # two responses to one problem
    assert caplog.messages == []


def test_mlflow_is_told_the_same_names_and_shown_responses_with_images(tmp_path, monkeypatch, experiences, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    tell("mlflow", tmp_path, experiences)
    assert caplog.messages == []
    (run,) = [path.parent for path in (tmp_path / "store").glob("*/*/metrics")]
    lines = (run / "metrics" / "reward" / "mean").read_text().splitlines()
    assert [line.split()[1:3] for line in lines] == [["0.5", "1"], ["0.5", "2"], ["0.5", "3"]]
    assert (run / "params" / "learner.lr").read_text() == "0.0001"
    shown = run / "artifacts" / "rollouts" / "000002"
    assert sorted(path.name for path in shown.iterdir()) == ["0.png", "1.png", "responses.html"]
    assert "&lt;image&gt;How many" in (shown / "responses.html").read_text()


@pytest.mark.skipif(not TRACKIO.exists(), reason=f"trackio is not in {TRACKIO}: make test puts it there")
def test_trackio_is_told_the_same_names_and_shown_responses_with_images(tmp_path, monkeypatch, experiences, caplog):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(TRACKIO), os.environ.get("PYTHONPATH", ""))))
    tell("trackio", tmp_path, experiences)
    assert caplog.messages == [], (tmp_path / "trackio" / "log").read_text()
    with sqlite3.connect(tmp_path / "store" / "looking.db") as store:
        rows = store.execute("select run_name, step, metrics from metrics order by id").fetchall()
    told = [(name, step, json.loads(metrics)) for name, step, metrics in rows]
    assert [(name, step) for name, step, line in told if "rollouts" not in line] == [
        ("tiny-1", step) for step in (1, 2, 3)
    ]
    assert all(line == {"reward/mean": 0.5, "groups/mixed": 1.0} for _, _, line in told if "rollouts" not in line)
    assert len(list((tmp_path / "store" / "media").rglob("*.png"))) == 2


def test_a_service_that_hangs_keeps_nobody_waiting(tmp_path, monkeypatch, experiences, caplog):
    stand_in(tmp_path, monkeypatch, "import time\ndef init(**settings): time.sleep(1e6)\n")
    hanging = tracker("wandb", tmp_path, patience=0.5)
    for step in range(1, 2000):  # more than the pipe and the queue hold
        hanging.log(step, METRICS | {f"long/{name}": 1.0 for name in range(50)})
    hanging.close()
    (said,) = caplog.messages
    assert said.startswith("wandb had not taken them 0.5 s after the end; 1")
    assert "of 1999 records did not reach it" in said
    assert subprocess.run(["pgrep", "-f", str(tmp_path)], check=False, capture_output=True).stdout == b""


def test_a_service_that_dies_is_said_with_its_last_words(tmp_path, monkeypatch, caplog):
    stand_in(tmp_path, monkeypatch, "def init(**settings): raise PermissionError('no such key')\n")
    dying = tracker("wandb", tmp_path)
    dying.log(1, METRICS)
    dying.close()
    assert caplog.messages[0].startswith("wandb ended with code 1; ")
    assert "PermissionError: no such key" in (tmp_path / "wandb" / "log").read_text()


def test_a_record_that_is_refused_costs_no_other(tmp_path, monkeypatch, caplog):
    code = """
import pathlib
class Run:
    def define_metric(self, *_, **__): pass
    def log(self, record):
        if record["step"] == 2: raise ValueError("not today")
        with pathlib.Path(__file__).with_name("told").open("a") as file: file.write(f"{record['step']} ")
    def finish(self): pass
def init(**settings): return Run()
"""
    stand_in(tmp_path, monkeypatch, code)
    refusing = tracker("wandb", tmp_path)
    for step in (1, 2, 3):
        refusing.log(step, METRICS)
    refusing.close()
    assert (tmp_path / "stand_in" / "told").read_text() == "1 3 "
    assert "step 2 was not taken: ValueError: not today" in (tmp_path / "wandb" / "log").read_text()
    assert len(caplog.messages) == 1
