"""Checkpoints of others', whose check sums fit: refused by name, and no code is run, no file outside read."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from rethinker.errors import CheckpointError
from rethinker.runs.checkpoints import Checkpoints, best_checkpoint, verified

STATE = '{"objects": [], "root": {"a": 1}}'


def checkpoint(tmp_path: Path, *, state: str = STATE, arrays: bytes | None = None, **meta: object) -> Path:
    folder = tmp_path / "step-000001"
    folder.mkdir()
    (folder / "state.json").write_text(state)
    (folder / "state.safetensors").write_bytes(save({"0": torch.zeros(1)}) if arrays is None else arrays)
    files = {path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in folder.iterdir()}
    said = {"step": 1, "accuracy": None, "config": {}, "files": files} | meta
    (folder / "meta.json").write_text(json.dumps(said))
    return folder


def load(folder: Path) -> object:
    return Checkpoints(folder.parent, keep=1, config={}).load(folder)[0]


def test_a_good_one_is_read(tmp_path: Path) -> None:
    assert load(checkpoint(tmp_path)) == {"a": 1}


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "hf/../../secret", "a\0b"])
def test_no_file_outside_the_checkpoint_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(CheckpointError, match="no file of the checkpoint"):
        verified(checkpoint(tmp_path, files={name: {"sha256": hashlib.sha256(b"x").hexdigest()}}))


@pytest.mark.parametrize(
    "meta", [{"step": "1"}, {"accuracy": []}, {"config": [1]}, {"files": [1]}, {"files": {"a": 1}}, {"step": True}]
)
def test_words_of_its_own_that_are_of_other_types_are_named(tmp_path: Path, meta: dict[str, object]) -> None:
    folder = checkpoint(tmp_path, **meta)
    best_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=r"meta\.json"):
        load(folder)


@pytest.mark.parametrize(
    "state",
    [
        "[" * 100_000,
        "{",
        "[]",
        '{"objects": [{"fields": []}], "root": 1}',
        '{"objects": [{"$": "Popen", "fields": {"args": "id"}}], "root": {"$": "object", "at": 0}}',
        '{"objects": [{"$": "Image", "fields": {"nope": 1}}], "root": 1}',
        '{"objects": [], "root": {"$": ["x"]}}',
        '{"objects": [], "root": {"$": "tensor", "tensor": "9"}}',
        '{"objects": [], "root": {"$": "__import__", "value": "os"}}',
    ],
)
def test_a_state_that_is_none_is_refused(tmp_path: Path, state: str) -> None:
    with pytest.raises(CheckpointError):
        load(checkpoint(tmp_path, state=state))


@pytest.mark.parametrize("arrays", [b"", b"\x80\x04\x95", b"\xff" * 8 + b"{}", b"\x02\0\0\0\0\0\0\0[]"])
def test_arrays_that_are_no_safetensors_are_refused(tmp_path: Path, arrays: bytes) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(checkpoint(tmp_path, arrays=arrays))
