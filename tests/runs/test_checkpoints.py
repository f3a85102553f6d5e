"""Checkpoints are whole or absent, verified, bounded in number, and of one configuration."""

import errno
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from rethinker.errors import CheckpointError
from rethinker.runs import checkpoints as module
from rethinker.runs.checkpoints import Checkpoints, best_checkpoint, latest_checkpoint

CONFIG = {
    "seed": 0,
    "run": {"dir": "a"},
    "train": {"steps": 10, "updates_per_episode": 2},
    "learner": {"lr": 1e-5, "betas": (0.9, 0.99)},
}


def write_model(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights" * 100)


def state_of(step: int):
    return {"step": step, "learner": {"w": torch.full((4,), float(step))}, "episode": [np.arange(step)]}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", keep=2, config=CONFIG)


def save(checkpoints, step, accuracy=None, write=write_model):
    return checkpoints.save(step, lambda folder: state_of(step), accuracy=accuracy, write_model=write)


def names(checkpoints) -> list[str]:
    return sorted(path.name for path in checkpoints._folder.iterdir())


def test_what_was_saved_is_loaded(checkpoints):
    path = save(checkpoints, 20, accuracy=0.5)
    assert path.name == "step-000020"
    assert checkpoints.latest() == path
    state, meta = checkpoints.load(path)
    assert state["step"] == meta.step == 20
    assert meta.accuracy == 0.5
    assert meta.config["learner"] == {"lr": 1e-5, "betas": [0.9, 0.99]}
    assert torch.equal(state["learner"]["w"], torch.full((4,), 20.0))
    np.testing.assert_array_equal(state["episode"][0], np.arange(20))
    assert sorted(file.name for file in (path / "hf").iterdir()) == ["config.json", "model.safetensors"]


def test_nothing_saved_yet(checkpoints):
    assert checkpoints.latest() is None
    assert checkpoints.best() is None


def test_last_few_and_the_best_are_kept(checkpoints):
    for step, accuracy in [(10, 0.3), (20, 0.6), (30, None), (40, 0.0), (50, 0.6), (60, None)]:
        save(checkpoints, step, accuracy)
    assert names(checkpoints) == ["step-000020", "step-000050", "step-000060"]
    assert checkpoints.best().name == "step-000020"  # the earliest of equals


def test_accuracy_of_zero_is_an_accuracy(checkpoints):
    save(checkpoints, 10, 0.0)
    assert checkpoints.best().name == "step-000010"


def test_order_is_by_step_not_by_name(checkpoints):
    save(checkpoints, 999_999)
    save(checkpoints, 1_000_000)
    assert checkpoints.latest().name == "step-1000000"


def test_same_step_saved_again_replaces_the_first(checkpoints):
    save(checkpoints, 10, None)
    path = save(checkpoints, 10, 0.4)
    assert checkpoints.load(path)[1].accuracy == 0.4
    assert names(checkpoints) == ["step-000010"]


def test_kill_between_the_two_renames_of_a_replacement_loses_nothing(checkpoints, monkeypatch):
    save(checkpoints, 10, 0.4)

    def killed(aside, final):
        final.rename(final.with_name(final.name + ".replaced"))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_put_in_place", killed)
    with pytest.raises(KeyboardInterrupt):
        save(checkpoints, 10)
    assert checkpoints.latest() is None
    reopened = Checkpoints(checkpoints._folder, keep=2, config=CONFIG)
    assert reopened.load(reopened.latest())[1].accuracy == 0.4


def test_leftovers_are_removed_at_open_but_not_by_a_reader(checkpoints):
    save(checkpoints, 10)
    leftover = checkpoints._folder / "step-000020.tmp-12345"
    (leftover / "hf").mkdir(parents=True)
    assert latest_checkpoint(checkpoints._folder).name == "step-000010"
    assert best_checkpoint(checkpoints._folder) is None
    assert leftover.exists()
    Checkpoints(checkpoints._folder, keep=2, config=CONFIG)
    assert names(checkpoints) == ["step-000010"]


@pytest.mark.parametrize("name", ["state.json", "state.safetensors", "hf/model.safetensors", "meta.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damaged_file_is_named_with_the_checkpoint_before(checkpoints, name, damage):
    save(checkpoints, 10)
    path = save(checkpoints, 20)
    content = (path / name).read_bytes()
    match damage:
        case "flip":
            (path / name).write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case "truncate":
            (path / name).write_bytes(content[: len(content) // 2])
        case "remove":
            (path / name).unlink()
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(path)
    assert str(path / name) in str(caught.value)
    assert f"remove {path} to resume from {path.with_name('step-000010')}" in str(caught.value)
    shutil.rmtree(path)
    assert checkpoints.load(checkpoints.latest())[0]["step"] == 10


def test_other_config_lists_the_keys_that_differ(checkpoints):
    path = save(checkpoints, 10)
    other = {**CONFIG, "seed": 1, "learner": {"lr": 5e-5, "betas": [0.9, 0.99]}, "replay": {"kind": "ssr"}}
    with pytest.raises(CheckpointError) as caught:
        Checkpoints(checkpoints._folder, keep=2, config=other).load(path)
    message = str(caught.value)
    assert "learner.lr is 1e-05 there and 5e-05 here" in message
    assert "seed is 0 there and 1 here" in message
    assert 'replay.kind is nothing there and "ssr" here' in message
    assert "betas" not in message


def test_where_and_how_long_a_run_goes_may_differ(checkpoints):
    path = save(checkpoints, 10)
    moved = {**CONFIG, "run": {"dir": "b"}, "train": {"steps": 20, "updates_per_episode": 2}, "threads": 2}
    assert Checkpoints(checkpoints._folder, keep=5, config=moved).load(path)[0]["step"] == 10
    moved["train"] = {"steps": 20, "updates_per_episode": 4}
    with pytest.raises(CheckpointError, match=r"train\.updates_per_episode"):
        Checkpoints(checkpoints._folder, keep=5, config=moved).load(path)


@pytest.mark.parametrize(
    "key",
    [
        "data.max_quarantined",
        "data.max_image_pixels",
        "data.path",
        "data.images",
        "model.path",
        "verifier.timeout_seconds",
        "verifier.memory_bytes",
        "verifier.workers",
    ],
)
def test_moved_files_and_the_limits_that_stopped_a_run_may_differ(checkpoints, key):
    path = save(checkpoints, 10)
    section, name = key.split(".")
    changed = {**CONFIG, section: {**CONFIG.get(section, {}), name: 7}}
    assert Checkpoints(checkpoints._folder, keep=5, config=changed).load(path)[0]["step"] == 10


def test_full_disk_is_seen_before_anything_is_written(checkpoints, monkeypatch):
    save(checkpoints, 10)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 900))
    written = []
    with pytest.raises(CheckpointError) as caught:
        save(checkpoints, 20, write=written.append)
    message = str(caught.value)
    assert "0.00 MB are free" in message
    assert "are needed" in message
    assert "earlier checkpoints are untouched, the last is" in message
    assert "step-000010" in message
    assert written == []
    assert names(checkpoints) == ["step-000010"]


def test_need_is_the_state_and_the_last_model(checkpoints, monkeypatch):
    save(checkpoints, 10)
    usage = namedtuple("usage", "total used free")
    state = {"w": torch.zeros(1_000_000)}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 4_000_700))
    with pytest.raises(CheckpointError, match="4\\.00 MB are needed"):
        checkpoints.save(20, lambda folder: state, accuracy=None, write_model=write_model)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 4_002_000))
    checkpoints.save(20, lambda folder: state, accuracy=None, write_model=write_model)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_disk_that_fills_during_a_save_loses_nothing_saved(checkpoints, error):
    save(checkpoints, 10)

    def fill(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise error

    with pytest.raises(CheckpointError, match=r"No space left on device.*earlier checkpoints are untouched"):
        save(checkpoints, 20, write=fill)
    assert names(checkpoints) == ["step-000010"]
    assert checkpoints.load(checkpoints.latest())[0]["step"] == 10


def test_failing_model_writer_leaves_nothing_and_is_not_hidden(checkpoints):
    def fail(folder: Path) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        save(checkpoints, 20, write=fail)
    assert names(checkpoints) == []


def test_first_failed_save_says_that_there_is_no_earlier_one(checkpoints, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 0))
    with pytest.raises(CheckpointError, match="there is no earlier one"):
        save(checkpoints, 1)


def test_meta_is_readable_json_for_people(checkpoints):
    meta = json.loads((save(checkpoints, 3) / "meta.json").read_text())
    assert meta["config"]["seed"] == 0
    assert set(meta["files"]) == {"state.json", "state.safetensors", "hf/config.json", "hf/model.safetensors"}
