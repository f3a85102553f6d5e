"""What is said where memory ran out: in which part of a step, and which settings that part grows with."""

from __future__ import annotations

from pathlib import Path

import torch

from rethinker.config import Config
from rethinker.data_config import FileDataConfig
from rethinker.errors import OutOfMemoryError
from rethinker.runs.checkpoints import latest_checkpoint

_OF_THE_SYSTEM = (
    "can't allocate memory",
    "Cannot allocate memory",
    "not enough memory",
    "std::bad_alloc",
    "could not create a primitive",  # oneDNN names no cause; on a processor that runs torch at all it is this one
)
"""torch has no class of errors for the memory of the CPU."""

_LEARNING = frozenset({"update", "logprobs"})
_SAMPLING = frozenset({"generate", "rethink", "evaluate"})


def ran_out(error: BaseException) -> bool:
    """Whether this is a want of memory, the device's or the system's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(each in str(error) for each in _OF_THE_SYSTEM)


def out_of_memory(error: BaseException, config: Config, run: Path, part: str | None) -> OutOfMemoryError:
    """The user's version.

    Args:
        run: The run's folder.
        part: Of a step, in which it happened; None is between them, where problems are read.
    """
    last = latest_checkpoint(run / "checkpoints")
    kept = f"{last} is saved; go on" if last else "no checkpoint was saved yet; begin again"
    said = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    return OutOfMemoryError(
        f"memory ran out {f'in the part {part}' if part else 'while problems were read'}: {said}. "
        f"{_advice(config, part)}. "
        f"`rethinker plan` says what a recipe needs. {kept} with: rethinker train --resume {run} [SETTING=VALUE …]"
    )


def _advice(config: Config, part: str | None) -> str:
    if part in _LEARNING:
        lower = f"Lower learner.micro_batch_tokens={config.learner.micro_batch_tokens}, which changes no result"
        if config.model.gradient_checkpointing:
            return lower
        return f"{lower}, or set model.gradient_checkpointing=true"
    if part in _SAMPLING:
        engine = config.engine
        return f"Lower engine.cache_bytes={engine.cache_bytes} or engine.max_rows={engine.max_rows}"
    if part is None and isinstance(config.data, FileDataConfig):
        return f"Lower data.image_bytes={config.data.image_bytes} or data.threads={config.data.threads}"
    return "Give the process more, or choose a smaller model"
