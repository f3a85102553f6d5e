import json
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.models import toys

from rethinker.errors import ModelError
from rethinker.models.loading import load
from rethinker.models.text import TextProcessor
from rethinker.models.vlm import VLM


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "qwen"
    VLM(*toys.build("Qwen2-VL")).save(made)
    return made


@pytest.fixture
def own_folder(folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_pickled_weights_are_refused(own_folder: Path) -> None:
    (own_folder / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(1)}, own_folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"could not be loaded.*weights must be safetensors"):
        load(str(own_folder), device="cpu")


def test_code_in_a_models_folder_does_not_run_unless_asked_for(own_folder: Path) -> None:
    ran = own_folder / "ran"
    (own_folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\n", encoding="utf-8")
    config = json.loads((own_folder / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "ours", "auto_map": {"AutoConfig": "own.Config", "AutoModelForImageTextToText": "own.M"}}
    (own_folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match=r"needs model\.trust_remote_code=true"):
        load(str(own_folder), device="cpu")
    assert not ran.exists()


OWN_CODE = """
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

class Config(Qwen2VLConfig):
    model_type = "ours"

class M(Qwen2VLForConditionalGeneration):
    config_class = Config
"""


def test_code_in_a_models_folder_runs_where_asked_for_and_goes_with_the_model(own_folder: Path, tmp_path: Path) -> None:
    (own_folder / "own.py").write_text(OWN_CODE, encoding="utf-8")
    config = json.loads((own_folder / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "ours", "auto_map": {"AutoConfig": "own.Config", "AutoModelForImageTextToText": "own.M"}}
    (own_folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    vlm = load(str(own_folder), device="cpu", trust_remote_code=True)
    assert type(vlm.module).__name__ == "M"
    assert vlm.shares_prompts
    vlm.save(tmp_path / "saved")
    again = load(str(tmp_path / "saved"), device="cpu", trust_remote_code=True)
    assert type(again.module).__name__ == "M"


def test_who_runs_a_models_own_code_is_not_told_to(own_folder: Path) -> None:
    (own_folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="could not be loaded") as caught:
        load(str(own_folder), device="cpu", trust_remote_code=True)
    assert "trust_remote_code" not in str(caught.value)


def test_a_text_only_model_loads_with_its_tokenizer_alone(tmp_path: Path) -> None:
    VLM(*toys.build("Qwen3 (text)")).save(tmp_path)
    assert not (tmp_path / "processor_config.json").exists()
    vlm = load(str(tmp_path), device="cpu")
    assert isinstance(vlm.processor, TextProcessor)
    assert not vlm.sees_images


def test_bounds_on_the_area_reach_the_processor(folder: Path) -> None:
    image = torch.zeros(3, 200, 200)
    few, many = (
        load(str(folder), device="cpu", max_pixels=limit).processor.image_processor(image, return_tensors="pt")
        for limit in (28 * 28 * 2, 28 * 28 * 9)
    )
    assert len(few["pixel_values"]) <= 8 < len(many["pixel_values"]) <= 36


def test_bounds_on_the_area_are_no_settings_of_the_tokenizer(folder: Path, tmp_path: Path) -> None:
    vlm = load(str(folder), device="cpu", min_pixels=28 * 28, max_pixels=28 * 28 * 9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vlm.processor(images=[Image.new("RGB", (90, 90))], text=vlm.processor.image_token)
    vlm.save(tmp_path)
    assert "pixels" not in (tmp_path / "tokenizer_config.json").read_text(encoding="utf-8")
    assert dict(load(str(tmp_path), device="cpu").processor.image_processor.size)["longest_edge"] == 28 * 28 * 9


def test_bounds_that_a_processor_does_not_know_are_refused(tmp_path: Path) -> None:
    VLM(*toys.build("Gemma 3")).save(tmp_path)
    with pytest.raises(ModelError, match=r"Gemma3ImageProcessor\w* does not bound image areas.*model.max_pixels=784"):
        load(str(tmp_path), device="cpu", max_pixels=784)


@pytest.mark.parametrize("bounds", [{"min_pixels": 28 * 28 * 400}, {"max_pixels": 28 * 14}])
def test_a_bound_beyond_the_processors_own_other_is_refused(folder: Path, bounds: dict[str, int]) -> None:
    with pytest.raises(ModelError, match=r"at least \d+ and at most \d+ pixels.*set model.min_pixels"):
        load(str(folder), device="cpu", **bounds)


def test_tied_embeddings_stay_one(folder: Path) -> None:
    module = load(str(folder), device="cpu").module
    assert module.get_input_embeddings().weight is module.get_output_embeddings().weight


def test_weights_load_in_the_type_asked_for(folder: Path) -> None:
    assert load(str(folder), device="cpu", dtype="bfloat16").module.dtype == torch.bfloat16


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model at .*: it has no config.json"):
        load(str(tmp_path), device="cpu")


@pytest.mark.parametrize("path", ["./models/base", "../base", "models/of/mine"])
def test_what_can_only_be_a_folder_is_never_looked_up_on_a_hub(path: str) -> None:
    with pytest.raises(ModelError, match=f"there is no model at {path}: it has no config.json"):
        load(path, device="cpu")
