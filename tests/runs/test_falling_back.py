"""A damaged checkpoint is named, and where that is allowed the one before it is gone on from."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rethinker.errors import CheckpointError, DamagedCheckpointError
from rethinker.runs.checkpoints import Checkpoints


def save(checkpoints: Checkpoints, step: int) -> Path:
    def write_model(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"weights" * 100)

    state = {"step": step, "w": torch.full((500,), float(step))}
    return checkpoints.save(step, lambda _: state, accuracy=None, write_model=write_model)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    made = Checkpoints(tmp_path / "checkpoints", keep=3, config={})
    for step in (10, 20, 30):
        save(made, step)
    return made


def cut(path: Path, chance: random.Random) -> None:
    """What a power cut leaves of a file that the disk had not taken in full."""
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def zero(path: Path, chance: random.Random) -> None:
    """A block that was never written."""
    content = bytearray(path.read_bytes())
    start = chance.randrange(len(content))
    content[start : start + 512] = bytes(len(content[start : start + 512]))
    path.write_bytes(content)


def flip(path: Path, chance: random.Random) -> None:
    """One bit gone bad."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, zero, flip])
@pytest.mark.parametrize("name", ["state.json", "state.safetensors", "hf/model.safetensors", "meta.json"])
def test_a_torn_write_is_named_and_the_checkpoint_before_is_used(
    checkpoints: Checkpoints, damage: Callable[[Path, random.Random], None], name: str
) -> None:
    last = checkpoints.latest()
    assert last is not None
    before = (last / name).read_bytes()
    damage(last / name, random.Random(f"{damage.__name__} {name}"))
    assert (last / name).read_bytes() != before
    said: list[str] = []
    found = checkpoints.load_latest(fall_back=True, say=said.append)
    assert found is not None
    assert (found[0].name, found[1]["step"]) == ("step-000020", 20)
    assert str(last / name) in said[0]
    assert "damaged-step-000030" in said[0]
    assert sorted(path.name for path in last.parent.iterdir()) == ["damaged-step-000030", "step-000010", "step-000020"]


def test_without_leave_nothing_is_set_aside(checkpoints: Checkpoints) -> None:
    last = checkpoints.latest()
    assert last is not None
    (last / "state.json").write_text("{")
    with pytest.raises(DamagedCheckpointError, match=r"state\.json is damaged.*checkpoints\.fall_back=true"):
        checkpoints.load_latest(fall_back=False, say=pytest.fail)
    assert checkpoints.latest() == last


def test_a_run_with_no_whole_checkpoint_is_not_begun_anew(checkpoints: Checkpoints) -> None:
    folder = checkpoints.latest().parent  # type: ignore[union-attr]
    for path in folder.iterdir():
        (path / "state.safetensors").unlink()
    said: list[str] = []
    with pytest.raises(
        DamagedCheckpointError, match=r"step-000010/state\.safetensors is missing.*no checkpoint before"
    ):
        checkpoints.load_latest(fall_back=True, say=said.append)
    assert len(said) == 2


def test_what_was_set_aside_is_kept_when_the_step_is_saved_again(checkpoints: Checkpoints) -> None:
    last = checkpoints.latest()
    assert last is not None
    (last / "state.json").unlink()
    checkpoints.load_latest(fall_back=True, say=str)
    save(checkpoints, 30)
    reopened = Checkpoints(last.parent, keep=3, config={})
    assert reopened.load_latest(fall_back=False, say=pytest.fail)[0] == last  # type: ignore[index]
    assert (last.parent / "damaged-step-000030").is_dir()


def test_a_checkpoint_of_another_configuration_is_not_a_damaged_one(checkpoints: Checkpoints) -> None:
    folder = checkpoints.latest().parent  # type: ignore[union-attr]
    other = Checkpoints(folder, keep=3, config={"seed": 1})
    with pytest.raises(CheckpointError, match="made with another configuration"):
        other.load_latest(fall_back=True, say=pytest.fail)
    assert len(list(folder.iterdir())) == 3


def test_a_second_damaged_one_of_the_same_step_is_set_aside_too(checkpoints: Checkpoints) -> None:
    for _ in range(2):
        last = checkpoints.latest()
        assert last is not None
        (last / "state.json").unlink()
        checkpoints.load_latest(fall_back=True, say=str)
        save(checkpoints, 30)
    assert checkpoints.load_latest(fall_back=False, say=pytest.fail)[1]["step"] == 30  # type: ignore[index]
