from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.models import toys

from rethinker.errors import ModelError
from rethinker.models import adapters
from rethinker.models.adapters import Lora
from rethinker.models.tiny import TINY_FOLDER
from rethinker.models.vlm import VLM
from rethinker.planning.architecture import measure, read


def leave(module: object) -> None:
    """Train everything."""


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("3B", 3_754_622_976), ("7B", 8_292_166_656), ("32B", 33_452_718_336), ("72B", 73_410_777_344)],
)
def test_the_table_gives_the_published_numbers_of_parameters(name: str, parameters: int) -> None:
    assert read(f"Qwen/Qwen2.5-VL-{name}-Instruct", leave).total.total == parameters


def test_a_shape_read_from_a_config_is_that_of_the_model(tiny_vlm: VLM, tiny_folder: Path) -> None:
    found = read(str(tiny_folder), leave)
    assert found == measure(tiny_vlm.module)
    assert found.total.total == found.total.trained == sum(p.numel() for p in tiny_vlm.module.parameters())
    assert (found.language.layers, found.language.width, found.language.inner, found.language.keys) == (4, 128, 384, 64)
    assert found.vision is not None
    assert (found.vision.layers, found.vision.inner, found.vision.gated) == (3, 256, True)
    assert found.image_tokens(56 * 84) == 6


def test_an_adapter_is_all_that_is_trained() -> None:
    lora = partial(adapters.add_lora, lora=Lora(rank=16, alpha=32.0), seed=0)
    found = read("Qwen/Qwen2.5-VL-7B-Instruct", lora)
    assert found.total.trained == found.total.adapter == 40_370_176
    assert found.parameters["vision"].trained == 0
    assert not found.language.trained
    assert found.language.learns
    assert len(found.language.adapted) == 7
    assert found.vision is not None
    assert not found.vision.learns


def test_a_frozen_part_is_counted_and_not_trained() -> None:
    found = read(str(TINY_FOLDER), partial(adapters.freeze, parts=["vision"]))
    assert found.parameters["vision"].total > 0
    assert found.parameters["vision"].trained == 0
    assert found.parameters["language"].trained == found.parameters["language"].total


@pytest.mark.parametrize("family", sorted(toys.TOYS))
def test_every_family_of_transformers_has_a_shape(family: str) -> None:
    module, _ = toys.build(family)
    if "Mamba" in family:
        with pytest.raises(ModelError, match="has no attention heads"):
            measure(module)
        return
    if "hybrid" in family:
        with pytest.raises(ModelError, match="has linear_attention layers, so it cannot share prompts"):
            measure(module)
        return
    found = measure(module)
    assert found.total.total == sum(weight.numel() for weight in module.parameters())
    assert (found.vision is None) == ("text" in family)
    assert (found.language.layers, found.language.width, found.language.inner) == (
        module.config.get_text_config().num_hidden_layers,
        module.config.get_text_config().hidden_size,
        module.config.get_text_config().intermediate_size,
    )


def test_an_unknown_model_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(ModelError, match=r"someone/else; give a folder .*Qwen/Qwen2\.5-VL-7B-Instruct"):
        read("someone/else", leave)
