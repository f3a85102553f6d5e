"""What a run trained leaves it as a folder: the model, the adapter, or the two merged."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from tests.e2e import runs
from tests.plain import inputs, some_prompts
from transformers import AutoModelForImageTextToText

from rethinker.build_model import build_vlm
from rethinker.config_files import load
from rethinker.models import adapters
from rethinker.models.patches import embed_patches_by_products
from rethinker.models.vlm import VLM

LORA = "model.adapter={kind: lora, rank: 4, alpha: 8, parts: [language, vision]}"


@pytest.fixture(scope="module")
def place(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    runs.write_recipe(folder, talker)
    return folder


@pytest.fixture(scope="module")
def whole(place: Path) -> Path:
    return trained(place, "whole", "train.steps=2", "model.freeze=[vision]", "checkpoints.every=1")


@pytest.fixture(scope="module")
def adapted(place: Path) -> Path:
    return trained(place, "adapted", LORA, "learner.lr=1e-2", "objective.kl_coefficient=0.1")


def trained(place: Path, name: str, *overrides: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        runs.train(place / "recipe.yaml", place / name, *overrides)
    return place / name


def logits(vlm: VLM, module: torch.nn.Module) -> torch.Tensor:
    embed_patches_by_products(module)  # as the policy does: what is the same is then the same to the bit
    response = np.arange(20, 28)
    with torch.no_grad():
        return torch.cat([module.eval()(**inputs(vlm, prompt, response)).logits[0] for prompt in some_prompts(vlm)])


def policy(run: Path, step: int) -> VLM:
    """The policy as its run had it at a step: the base with what was trained, from the learner's own state."""
    vlm = build_vlm(load([run / "config.yaml"]))
    if adapters.has_adapter(vlm.module):
        adapters.load_adapter(vlm.module, run / "checkpoints" / f"step-{step:06d}" / "hf")
        return vlm
    return build_vlm(load([run / "config.yaml"], [f"model.path={run}/checkpoints/step-{step:06d}/hf"]))


def test_a_model_trained_in_full_is_exported_as_it_is(whole: Path, tmp_path: Path) -> None:
    assert runs.rethinker("export", whole, "--to", tmp_path / "model", "--checkpoint", "2") == 0
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "model")
    vlm = policy(whole, 2)
    assert torch.equal(logits(vlm, loaded), logits(vlm, vlm.module))


def test_an_adapter_is_exported_as_what_peft_and_transformers_load(adapted: Path, tmp_path: Path, talker: Path) -> None:
    assert runs.rethinker("export", adapted, "--to", tmp_path / "adapter", "--checkpoint", "last") == 0
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    vlm = policy(adapted, 6)
    wanted = logits(vlm, vlm.module)
    by_peft = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(talker), tmp_path / "adapter")
    assert torch.equal(logits(vlm, by_peft), wanted)
    by_transformers = AutoModelForImageTextToText.from_pretrained(tmp_path / "adapter")
    assert torch.equal(logits(vlm, by_transformers), wanted)


def test_a_merged_export_is_a_whole_model_with_the_policys_logits(adapted: Path, tmp_path: Path, talker: Path) -> None:
    assert runs.rethinker("export", adapted, "--to", tmp_path / "merged", "--merge", "--checkpoint", "last") == 0
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    loaded, base = (AutoModelForImageTextToText.from_pretrained(path) for path in (tmp_path / "merged", talker))
    vlm = policy(adapted, 6)
    wanted = logits(vlm, vlm.module)
    torch.testing.assert_close(logits(vlm, loaded), wanted, atol=1e-4, rtol=0)
    assert float((logits(vlm, base) - wanted).abs().max()) > 1e-2
    again = build_vlm(load([adapted / "config.yaml"], [f"model.path={tmp_path / 'merged'}", "model.adapter.kind=none"]))
    assert again.processor.chat_template == vlm.processor.chat_template


def test_a_merge_finds_the_base_from_anywhere_and_says_where_it_was(
    place: Path, talker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = shutil.copytree(talker, place / "base")
    run = trained(place, "nearby", LORA, "model.path=base", "train.steps=2")
    monkeypatch.chdir(tmp_path)
    assert runs.rethinker("export", run, "--to", "merged", "--merge", "--checkpoint", "last") == 0
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    shutil.rmtree(base)
    assert runs.rethinker("export", run, "--to", "again", "--merge", "--checkpoint", "last") == 1
    assert f"the adapter's base is no longer at {base}" in capsys.readouterr().err.replace("\n", " ")


def test_an_adapters_run_that_is_resumed_ends_as_the_unbroken_one(
    adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(adapted.parent)
    resumed = tmp_path / "resumed"
    shutil.copytree(adapted, resumed)
    shutil.rmtree(resumed / "checkpoints" / "step-000006")
    for path in (resumed / "checkpoints").glob("step-00000[45]"):
        shutil.rmtree(path)
    (resumed / "summary.json").unlink()
    assert runs.rethinker("train", "--resume", resumed) == 0
    assert runs.metrics(resumed) == runs.metrics(adapted)
    last = Path("checkpoints") / "step-000006" / "hf" / "adapter_model.safetensors"
    assert (resumed / last).read_bytes() == (adapted / last).read_bytes()


def test_the_best_checkpoint_is_the_default(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rethinker.runs.checkpoints import best_checkpoint

    best = best_checkpoint(whole / "checkpoints")
    assert best is not None
    assert runs.rethinker("export", whole, "--to", tmp_path / "deep" / "model") == 0
    assert f"of step {int(best.name[5:])} to" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{place}", "--to", "{to}"), "is not a run: it has no config.yaml"),
        (("{whole}", "--to", "{place}"), "is not an empty folder; choose another --to"),
        (("{whole}", "--to", "{to}", "--checkpoint", "7"), "there is no checkpoint '7' in"),
        (("{whole}", "--to", "{to}", "--checkpoint", "finest"), "name best, last, or a step of 1, 2"),
        (("{empty}", "--to", "{to}"), "there is no checkpoint in"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    place: Path,
    whole: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(whole / "config.yaml", empty)
    names = {"place": place, "whole": whole, "to": tmp_path / "to", "empty": empty}
    assert runs.rethinker("export", *(argument.format(**names) for argument in arguments)) == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_damaged_checkpoint_is_not_exported(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "checkpoints" / "step-000002" / "hf" / "config.json").write_text("{}")
    assert runs.rethinker("export", run, "--to", tmp_path / "to", "--checkpoint", "last") == 1
    assert "config.json is damaged" in capsys.readouterr().err
    assert not (tmp_path / "to").exists()
