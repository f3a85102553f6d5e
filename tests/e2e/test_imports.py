"""What a command does not need, it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e import runs

SCRIPT = """
import sys
from rethinker.cli import main

def run(*arguments):
    try:
        main(arguments)
    except SystemExit as stop:
        assert stop.code == 0, stop.code

def loaded(*names):
    return sorted(set(names) & set(sys.modules))

run("--help")
assert loaded("torch", "transformers", "matplotlib", "numpy") == []
run("train", *sys.argv[1:])
assert loaded("torch", "vllm", "ray", "trl", "wandb") == ["torch"], loaded("vllm", "ray", "trl", "wandb")
"""


def test_help_needs_no_torch_and_a_tiny_run_neither_vllm_nor_ray(talker: Path, tmp_path: Path) -> None:
    recipe = runs.write_recipe(tmp_path, talker, train={"steps": 1, "updates_per_episode": 1})
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, recipe, f"run.dir={tmp_path / 'run'}"],
        cwd=tmp_path,
        env=runs.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "run" / "summary.json").is_file()
