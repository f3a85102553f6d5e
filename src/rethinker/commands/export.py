"""`rethinker export`: a run's model as a Hugging Face folder, or its adapter, or the two merged."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from rethinker.build_model import build_vlm
from rethinker.commands.train import quieten
from rethinker.config import Config
from rethinker.config_files import load
from rethinker.errors import ModelError, RunFolderError
from rethinker.models import adapters
from rethinker.runs.checkpoints import chosen_checkpoint, verified
from rethinker.runs.files import new_folder


def export(run: Path, target: Path, *, merge: bool, which: str) -> None:
    """Write the model of a checkpoint to `target`, which appears when it is whole.

    Args:
        run: The run's folder; a run that is still training may be exported too.
        merge: Add an adapter to its base. A model trained in full is whole already.
        which: "best", "last" or a step.

    Raises:
        RunFolderError: `run` holds no run, or `target` is not empty or cannot be written.
        CheckpointError: there is no such checkpoint, or it is damaged.
        ModelError: the adapter's base can no longer be loaded.
    """
    if not (run / "config.yaml").is_file():
        raise RunFolderError(f"{run} is not a run: it has no config.yaml; give the folder `rethinker train` printed")
    config = load([run / "config.yaml"])
    checkpoint = chosen_checkpoint(run / "checkpoints", which)
    step = verified(checkpoint).step
    adapter = config.model.adapter.kind == "lora"
    with new_folder(target, parents=True) as aside:
        if adapter and merge:
            _merge(config, checkpoint / "hf", aside)
        else:
            shutil.copytree(checkpoint / "hf", aside, dirs_exist_ok=True)
    what = "the adapter" if adapter and not merge else "the model"
    Console().print(f"wrote {what} of step {step} to {target}", highlight=False, soft_wrap=True)


def _merge(config: Config, adapter: Path, folder: Path) -> None:
    """On the base that the adapter names: the run's `model.path` may be relative to where it was started."""
    quieten()
    model = config.model
    if model.path != "tiny":
        base = adapters.base_of(adapter)
        if Path(base).is_absolute() and not Path(base).is_dir():
            raise ModelError(f"the adapter's base is no longer at {base}; put it, or a link to it, back there")
        model = model.model_copy(update={"path": base})
    vlm = build_vlm(config.model_copy(update={"device": "cpu", "model": model}))
    adapters.load_adapter(vlm.module, adapter)
    adapters.save_merged(vlm.module, folder)
    vlm.processor.save_pretrained(folder)
