"""A run's folder is a model to ask: its newest checkpoint, with its adapter where it trains one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e import runs

FAR = ("train.steps=2", "learner.lr=0.05", "checkpoints.every=1", "evaluation.every=0")
"""Enough for other answers than the base's."""


@pytest.mark.parametrize("kind", ["lora", pytest.param("none", marks=pytest.mark.long)])
def test_a_run_answers_as_the_model_exported_from_it(
    kind: str,
    talker: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = runs.write_recipe(tmp_path, talker)
    runs.train(recipe, tmp_path / "run", *FAR, f"model.adapter.kind={kind}")
    whole = ["--checkpoint", "last", *(["--merge"] if kind == "lora" else [])]
    assert runs.rethinker("export", tmp_path / "run", "--to", tmp_path / "exported", *whole) == 0

    def asked(model: str | Path) -> str:
        capsys.readouterr()
        assert runs.rethinker("ask", model, "How many?", "--rethink", "1", "--max-tokens", "40", "--json") == 0
        text: str = json.loads(capsys.readouterr().out)["text"]
        return text

    assert asked("run") == asked("exported") != asked(talker)
