"""A checkpoint of somebody's: its own words, its state, its arrays. Check sums are theirs too, so they fit."""

import hashlib
import json

import torch
from safetensors.torch import save

from fuzz.fenced import FOLDER
from fuzz.targets import parts
from rethinker.errors import CheckpointError
from rethinker.runs.checkpoints import Checkpoints, best_checkpoint, verified

HERE = FOLDER / "checkpoints"
STEP = HERE / "step-000001"
STEP.mkdir(parents=True, exist_ok=True)
ARRAYS = save({"0": torch.zeros(2), "1": torch.ones(1, dtype=torch.int64)})
META = b'{"step": 1, "accuracy": 0.5, "config": {"seed": 0}}'
STATE = (
    b'{"objects": [{"$": "Mean", "fields": {"sum": 1.0, "count": 2}}], "root": {"a": {"$": "object", "at": 0}, '
    b'"b": {"$": "tuple", "items": [{"$": "tensor", "tensor": "0"}, {"$": "scalar", "tensor": "1"}, '
    b'{"$": "Outcome", "value": "ok"}, {"$": "dict", "items": [[0, {"$": "float", "value": "nan"}]]}]}}}'
)
SEEDS = (
    b"\0".join((META, STATE, ARRAYS)),
    b"\0".join((b'{"step": 1, "accuracy": null, "config": [1], "files": {"../../secret": {}}}', b"[]", ARRAYS)),
    b"\0".join((b'{"step": "x", "accuracy": [], "config": {}}', b'{"objects": [{"fields": []}], "root": 1}', ARRAYS)),
    b"\0".join((META, b'{"objects": [], "root": {"$": ["x"]}}', ARRAYS[:40])),
    b"\0".join((META, STATE.replace(b'"0"', b'"9"').replace(b"Mean", b"Image"), ARRAYS)),
)
SAVED = Checkpoints(HERE, keep=9, config={"seed": 0})


def check(data: bytes) -> None:
    meta, state, arrays = parts(data, 3)
    (STEP / "state.json").write_bytes(state)
    (STEP / "state.safetensors").write_bytes(arrays)
    (STEP / "meta.json").write_bytes(_with_sums(meta))
    best_checkpoint(HERE)
    try:
        assert verified(STEP).step >= 0
        SAVED.load(STEP)
    except CheckpointError:
        return


def _with_sums(meta: bytes) -> bytes:
    try:
        document = json.loads(meta)
    except (ValueError, RecursionError):
        return meta
    if isinstance(document, dict) and "files" not in document:
        names = ("state.json", "state.safetensors")
        document["files"] = {name: {"sha256": hashlib.sha256((STEP / name).read_bytes()).hexdigest()} for name in names}
    try:
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        return meta
