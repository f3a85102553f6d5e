"""Checkpoints of a run: written aside, flushed, renamed; verified when read; the last few and the best kept.

    checkpoints/step-000020/
      meta.json            format, step, accuracy, the resolved configuration, SHA-256 of all files and of itself
      state.json           the state (see codec.py)
      state.safetensors    its arrays and tensors
      learner/             what a learner of several ranks holds, in their pieces
      hf/                  a Hugging Face folder, for transformers and vLLM

A folder with that name is complete: a save that was killed leaves only a folder with another name, which the next
start removes. What is in a state, and when to save, is the loop's business.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rethinker.errors import CheckpointError, DamagedCheckpointError
from rethinker.runs.codec import decode, encode
from rethinker.runs.files import bytes_below, files_below, sha256, sync_folder, sync_tree
from rethinker.runs.format import own_format, why_unreadable
from rethinker.trees import leaves
from rethinker.types import State
from rethinker.units import gigabytes

MAY_DIFFER = frozenset(
    {
        "run",
        "device",
        "threads",
        "profile",
        "train.steps",
        "evaluation.every",
        "checkpoints",
        "rollouts",
        "trackers",
        "verifier.workers",
        "verifier.timeout_seconds",
        "verifier.memory_bytes",
        "data.max_quarantined",
        "data.max_image_pixels",
        "data.path",
        "data.images",
        "model.path",
        "engine.max_rows",
        "engine.cache_bytes",
        "engine.read_tokens",
        "learner.micro_batch_tokens",
        "learner.sharding",
        "cluster",
        "engine.replicas",
        "engine.tensor_parallel",
        "engine.memory_share",
        "engine.enforce_eager",
        "engine.sleep",
        "model.gradient_checkpointing",
    }
)
"""Keys and sections that a resumed run may change: where it runs, where its files lie, how long, how often it looks,
how much at once, and the limits that stopped it. Device and batch sizes change rounding only; `train.steps` stretches
the learning rate's schedule from there on."""

_NAME = re.compile(r"step-(\d{6,})")
_REPLACED = ".replaced"
_DAMAGED = "damaged-"
_SUM = "sha256"
_ABSENT = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a checkpoint says of itself.

    Attributes:
        step: Optimiser updates done.
        accuracy: Held-out accuracy at that step, None where it was not measured.
        config: The resolved configuration it was made with.
    """

    step: int
    accuracy: float | None
    config: Mapping[str, Any]


def all_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints in `folder`, by step."""
    found = (path for path in folder.glob("step-*") if _NAME.fullmatch(path.name))
    return sorted(found, key=_step)


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step, None when there is none."""
    return next(reversed(all_checkpoints(folder)), None)


def best_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the best accuracy, the earliest of equals, None when none was measured."""
    accuracies = {path: _accuracy(path) for path in all_checkpoints(folder)}
    measured = {path: accuracy for path, accuracy in accuracies.items() if accuracy is not None}
    return max(measured, key=measured.__getitem__, default=None)


def chosen_checkpoint(folder: Path, which: str) -> Path:
    """The checkpoint that `which` names: "best", "last", or the number of a step.

    Raises:
        CheckpointError: there is none, or not that one.
    """
    there = all_checkpoints(folder)
    if not there:
        raise CheckpointError(f"there is no checkpoint in {folder}; the run was stopped before its first")
    if which == "last":
        return there[-1]
    steps = ", ".join(str(_step(path)) for path in there)
    if which == "best":
        best = best_checkpoint(folder)
        if best is None:
            raise CheckpointError(f"no checkpoint in {folder} was measured; name one: last, or a step of {steps}")
        return best
    found = [path for path in there if str(_step(path)) == which]
    if not found:
        raise CheckpointError(f"there is no checkpoint {which!r} in {folder}; name best, last, or a step of {steps}")
    return found[0]


def verified(path: Path) -> Meta:
    """What a checkpoint says of itself, every file of it having been compared with its SHA-256.

    Raises:
        CheckpointError: a file is missing or damaged, or it has another format.
    """
    try:
        document = dict(json.loads((path / "meta.json").read_bytes()))
        if why := why_unreadable(document, path):
            raise CheckpointError(why)
        if _says_its_sum(document) and document.pop(_SUM, None) != _sum(document):
            raise ValueError("its SHA-256 is not the one it was saved with")
        meta = _meta(document)
        files = {str(name): str(expected["sha256"]) for name, expected in dict(document["files"]).items()}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, "meta.json", f"is missing or damaged ({error!s:.200})") from error
    for name, expected in files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise _damaged(path, "meta.json", f"names {name!r}, which is no file of the checkpoint")
        if not (path / name).is_file():
            raise _damaged(path, name, "is missing")
        if sha256(path / name) != expected:
            raise _damaged(path, name, "is damaged: its SHA-256 is not the one it was saved with")
    return meta


def _damaged(path: Path, name: str, what: str) -> DamagedCheckpointError:
    before = _before(path)
    fix = (
        f"remove {path} to resume from {before[-1]}, or allow that with checkpoints.fall_back=true"
        if before
        else "there is no checkpoint before it; start anew"
    )
    return DamagedCheckpointError(f"{path / name} {what}; {fix}")


def _before(path: Path) -> list[Path]:
    return [other for other in all_checkpoints(path.parent) if _step(other) < _step(path)]


class Checkpoints:
    """The checkpoints of a run that this process has locked; opening removes what a killed save left.

    Args:
        folder: `checkpoints/` of the run; made when missing.
        keep: Keep the last so many, at least 1, and the best by accuracy.
        config: The resolved configuration as JSON values.
        may_differ: Dotted keys and sections in which `config` may differ from a checkpoint's that is loaded.
    """

    def __init__(
        self, folder: Path, *, keep: int, config: Mapping[str, Any], may_differ: Collection[str] = MAY_DIFFER
    ) -> None:
        assert keep >= 1, keep
        self._folder = folder
        self._keep = keep
        self._config = json.loads(json.dumps(config))
        self._may_differ = frozenset(may_differ)
        folder.mkdir(exist_ok=True)
        self._recover()

    def _recover(self) -> None:
        for path in self._folder.glob("step-*"):
            if path.name.endswith(_REPLACED) and not path.with_name(path.name.removesuffix(_REPLACED)).exists():
                path.rename(path.with_name(path.name.removesuffix(_REPLACED)))
            elif not _NAME.fullmatch(path.name):
                shutil.rmtree(path)

    def latest(self) -> Path | None:
        """See `latest_checkpoint`."""
        return latest_checkpoint(self._folder)

    def best(self) -> Path | None:
        """See `best_checkpoint`."""
        return best_checkpoint(self._folder)

    def save(
        self,
        step: int,
        state: Callable[[Path], State],
        *,
        accuracy: float | None,
        write_model: Callable[[Path], None],
    ) -> Path:
        """Save, then remove what is no longer kept. The same step saved again replaces the first.

        Args:
            step: Optimiser updates done.
            state: Makes what `load` gives back; may write more files into the (existing) folder it is given.
            accuracy: Held-out accuracy of these weights, if it was measured at this step.
            write_model: Writes a Hugging Face folder into the (existing, empty) folder it is given.

        Raises:
            CheckpointError: the disk is too full, or a file could not be written; earlier checkpoints are untouched.
        """
        final = self._folder / f"step-{step:06d}"
        aside = self._folder / f"{final.name}.tmp-{os.getpid()}"
        needed = 0
        try:
            (aside / "hf").mkdir(parents=True)
            document, tensors = encode(state(aside))
            text = json.dumps(document, allow_nan=False).encode()
            tensor_bytes = sum(tensor.nbytes for tensor in tensors.values())
            model_bytes = self._model_bytes(otherwise=tensor_bytes or bytes_below(aside))
            needed = len(text) + tensor_bytes + model_bytes
            if shutil.disk_usage(self._folder).free < needed:
                raise self._unwritable(step, needed, "the disk is too full")
            (aside / "state.json").write_bytes(text)
            save_file(tensors, aside / "state.safetensors")
            write_model(aside / "hf")
            _write_meta(aside, step=step, accuracy=accuracy, config=self._config)
            sync_tree(aside)
            _put_in_place(aside, final)
        except (OSError, SafetensorError) as error:
            raise self._unwritable(step, needed, str(error)) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self._prune()
        return final

    def load(self, path: Path) -> tuple[State, Meta]:
        """Read a checkpoint, having verified every file of it.

        Raises:
            CheckpointError: a file is missing or damaged, or the configuration differs where it may not.
        """
        meta = verified(path)
        self._check_config(path, meta)
        try:
            document, tensors = json.loads((path / "state.json").read_bytes()), load_file(path / "state.safetensors")
        except (OSError, ValueError, RecursionError, SafetensorError) as error:
            raise _damaged(path, "state", f"cannot be read: {error!s:.200}") from error
        return decode(document, tensors), meta

    def load_latest(self, *, fall_back: bool, say: Callable[[str], None]) -> tuple[Path, State, Meta] | None:
        """Read the last checkpoint, None when there is none.

        Args:
            fall_back: Read the one before where it is damaged, and set the damaged one aside as `damaged-<name>`.
            say: Told what was set aside.

        Raises:
            CheckpointError: as `load`; also where there is none before the damaged one.
        """
        while (path := self.latest()) is not None:
            try:
                state, meta = self.load(path)
            except DamagedCheckpointError as error:
                if not fall_back or not _before(path):
                    raise
                aside = path.with_name(f"{_DAMAGED}{path.name}")
                shutil.rmtree(aside, ignore_errors=True)  # one of the same step, set aside before
                path.rename(aside)
                say(f"{error}. It is set aside as {aside}")
            else:
                return path, state, meta
        return None

    def _model_bytes(self, *, otherwise: int) -> int:
        """What the Hugging Face folder will take: as the last one did; a state holds the weights and more."""
        last = self.latest()
        return bytes_below(last / "hf") if last else otherwise

    def _prune(self) -> None:
        kept = {*all_checkpoints(self._folder)[-self._keep :], self.best()}
        for path in all_checkpoints(self._folder):
            if path not in kept:
                # Out of the way under another name first: half a deleted checkpoint must not look like a whole one.
                doomed = path.rename(path.with_name(f"{path.name}.tmp-doomed"))
                shutil.rmtree(doomed)

    def _check_config(self, path: Path, meta: Meta) -> None:
        there, here = leaves(meta.config), leaves(self._config)
        differing = [
            f"{key} is {json.dumps(there[key]) if key in there else _ABSENT} there "
            f"and {json.dumps(here[key]) if key in here else _ABSENT} here"
            for key in sorted(there.keys() | here.keys())
            if there.get(key, _ABSENT) != here.get(key, _ABSENT) and not self._may(key)
        ]
        if differing:
            raise CheckpointError(
                f"the checkpoint {path} was made with another configuration: {'; '.join(differing)}. "
                "Resume without changing these keys, or start a new run"
            )

    def _may(self, key: str) -> bool:
        parts = key.split(".")
        return any(".".join(parts[:length]) in self._may_differ for length in range(1, len(parts) + 1))

    def _unwritable(self, step: int, needed: int, reason: str) -> CheckpointError:
        last = self.latest()
        kept = f"the earlier checkpoints are untouched, the last is {last}" if last else "there is no earlier one"
        return CheckpointError(
            f"the checkpoint of step {step} could not be saved to {self._folder}: {reason}; "
            f"{gigabytes(shutil.disk_usage(self._folder).free)} are free, about {gigabytes(needed)} are needed; "
            f"{kept}. Free disk space or make the folder writable, and resume"
        )


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _write_meta(folder: Path, *, step: int, accuracy: float | None, config: Mapping[str, Any]) -> None:
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in files_below(folder)
    }
    meta = {**own_format(), "step": step, "accuracy": accuracy, "config": config, "files": files}
    (folder / "meta.json").write_text(json.dumps({**meta, _SUM: _sum(meta)}, indent=1, allow_nan=False))


def _sum(meta: Mapping[str, Any]) -> str:
    """SHA-256 of what a `meta.json` says, however it is laid out."""
    return hashlib.sha256(json.dumps(json.loads(json.dumps(meta)), sort_keys=True).encode()).hexdigest()


def _says_its_sum(document: Mapping[str, Any]) -> bool:
    """Format 1 did not; two keys are looked at, so that one that is damaged hides nothing."""
    return _SUM in document or document.get("format", 1) != 1


def _meta(document: Mapping[str, Any]) -> Meta:
    """What a `meta.json` says.

    Raises:
        TypeError: it holds other things than a checkpoint's does; likewise KeyError.
    """
    step, accuracy, config = document["step"], document["accuracy"], document["config"]
    if type(step) is not int or not isinstance(accuracy, int | float | None) or not isinstance(config, dict):
        raise TypeError(f"step {step!r:.40}, accuracy {accuracy!r:.40}")
    return Meta(step=step, accuracy=accuracy, config=config)


def _accuracy(path: Path) -> float | None:
    """None where the meta is damaged, too: `load` says so, and choosing the best is no place to stop."""
    try:
        return _meta(json.loads((path / "meta.json").read_bytes())).accuracy
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _put_in_place(aside: Path, final: Path) -> None:
    """Rename a finished folder; one that stands there is moved away first and comes back if we are killed between."""
    replaced = final.with_name(final.name + _REPLACED)
    if final.exists():
        final.rename(replaced)
    aside.rename(final)
    sync_folder(final.parent)
    if replaced.exists():
        shutil.rmtree(replaced)
