"""A sharded learner's state on disk: every rank writes what it holds, and as many ranks as there are then read it.

torch.distributed.checkpoint cuts and joins; its safetensors format is used, which holds no pickle.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from rethinker.errors import CheckpointError
from rethinker.types import State

FOLDER = "learner"
"""Below a checkpoint's folder."""


def write(folder: Path, state: State) -> State:
    """Write the tensors of a `PolicyLearner.state_dict`; the rest comes back, with their names. All ranks call it."""
    save(dict(_flat(state)), storage_writer=HuggingFaceStorageWriter(str(folder / FOLDER), save_distributed=True))
    names = {"weights": sorted(state["weights"]), "moments": {name: sorted(m) for name, m in state["moments"].items()}}
    return {key: value for key, value in state.items() if key not in _TENSORS} | {"names": names}


def read(folder: Path, written: State, state: State) -> State:
    """The state that `write` made `written` of. All ranks call it.

    Args:
        state: What the learner holds now, which says how each weight is spread.

    Raises:
        CheckpointError: what was written is of another model, or files are missing.
    """
    names, weights = written["names"], state["weights"]
    if odd := sorted(set(names["weights"]) ^ weights.keys()):
        raise CheckpointError(
            f"the checkpoint is of another model, or other parts of it were trained: {len(odd)} weights differ, "
            f"first {odd[:3]}"
        )
    found: State = {
        "weights": {name: torch.empty_like(weights[name]) for name in names["weights"]},
        "masters": {},
        "moments": {
            name: {each: _room(each, weights[name]) for each in names["moments"][name]} for name in names["moments"]
        },
    }
    load(dict(_flat(found)), storage_reader=HuggingFaceStorageReader(str(folder / FOLDER)))
    return {key: value for key, value in written.items() if key != "names"} | found


_TENSORS = ("weights", "masters", "moments")


def _flat(state: State) -> Iterator[tuple[str, Tensor]]:
    """Tensors by one name each."""
    yield from ((f"weights.{name}", weight) for name, weight in state["weights"].items())
    for name, moments in state["moments"].items():
        yield from ((f"moments.{each}.{name}", value) for each, value in moments.items())


def _room(moment: str, weight: Tensor) -> Tensor:
    """For a moment of AdamW: spread like its weight, but for the count of steps."""
    return torch.zeros((), dtype=torch.float32) if moment == "step" else torch.empty_like(weight)
