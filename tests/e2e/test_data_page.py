"""The ten lines of `docs/data.md`, run as they stand: on the tiny model, and for a step instead of a night."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.data.making_images import png
from tests.e2e import runs

ROOT = Path(__file__).parents[2]
SHORT = (
    "device=cpu",
    "threads=1",
    "model.dtype=float32",
    "data.held_out=0.4",
    "sampler.queries=2",
    "sampler.group_size=2",
    "sampler.first.max_tokens=4",
    "rethink.second_look.max_tokens=4",
    "evaluation.max_tokens=4",
    "evaluation.every=0",
    "train.steps=1",
    "train.updates_per_episode=1",
    "trackers.tensorboard=false",
)


def commands() -> Iterator[list[str]]:
    """The page's first block, one command a line, without remarks."""
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    block = next(part for part in page.split("\n\n") if part.startswith("    "))
    for line in block.splitlines():
        yield shlex.split(line, comments=True)


def said(command: list[str], folder: Path) -> None:
    """What `echo … > file` and `echo … >> file` do."""
    _, text, arrow, name = command
    with (folder / name).open("a" if arrow == ">>" else "w") as file:
        file.write(text + "\n")


def test_a_new_user_gets_from_a_jsonl_file_to_a_model_in_ten_lines(
    talker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    (tmp_path / "cats.png").write_bytes(png(100, height=56, width=56))
    lines = list(commands())
    assert len(lines) == 10
    for command in lines:
        if command[0] == "echo":
            for _ in range(8 if command[-1] == "mine.jsonl" else 1):
                said([part.replace("Qwen/Qwen2.5-VL-3B-Instruct", str(talker)) for part in command], tmp_path)
        elif command[0] == "rethinker":
            resumed = "--resume" in command  # which says that nothing is left to do
            short = SHORT if command[1] == "train" and not resumed else ()
            assert runs.rethinker(*command[1:], *short) == int(resumed), command
        else:
            assert (tmp_path / command[1]).is_file(), command
    assert (tmp_path / "mine.html").is_file()
    assert (tmp_path / "my-vlm" / "config.json").is_file()
