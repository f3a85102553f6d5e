from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from tests.conftest import copied
from tests.learner.given import batch
from tests.learner.test_learner import through_disk
from tests.models import toys
from transformers import (
    AutoModelForImageTextToText,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from rethinker.errors import CheckpointError, ModelError
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models import adapters
from rethinker.models.adapters import Lora
from rethinker.models.loading import load
from rethinker.models.vlm import VLM

LANGUAGE = Lora(rank=4, alpha=8.0)
BOTH = Lora(rank=4, alpha=8.0, parts=("language", "vision"))


def adapted(vlm: VLM, lora: Lora = LANGUAGE, *, seed: int = 0) -> VLM:
    made = copied(vlm)
    adapters.add_lora(made.module, lora, seed=seed)
    return made


def moved(vlm: VLM, lora: Lora = LANGUAGE) -> VLM:
    """An adapter that does something: its B is no longer 0."""
    made = adapted(vlm, lora)
    with torch.no_grad():
        for name, weight in made.module.named_parameters():
            if "lora_B" in name:
                weight.uniform_(-0.05, 0.05, generator=torch.Generator().manual_seed(len(name)))
    return made


def trainer(vlm: VLM, *, reference: VLM | None = None, kl: float = 0.0, tokens: int = 16_384) -> PolicyLearner:
    return PolicyLearner(
        vlm,
        objective=Objective(imitation_coefficient=0.05, kl_coefficient=kl),
        optimisation=Optimisation(steps=10, lr=1e-3, micro_batch_tokens=tokens),
        reference=reference,
    )


def bytes_of(vlm: VLM) -> dict[str, bytes]:
    return {name: weight.detach().numpy().tobytes() for name, weight in vlm.module.named_parameters()}


def scores(vlm: VLM) -> torch.Tensor:
    chosen = batch(vlm)
    return torch.cat([torch.from_numpy(found) for found in trainer(vlm).token_logprobs(chosen)])


def gradients(vlm: VLM) -> dict[str, torch.Tensor]:
    trainer(vlm).update(batch(vlm))
    return {name: weight.grad for name, weight in vlm.module.named_parameters() if weight.grad is not None}


# ---- parts -------------------------------------------------------------------------------------------------------


def test_every_weight_belongs_to_the_part_it_serves(tiny_vlm: VLM) -> None:
    parts = adapters.part_of(tiny_vlm.module)
    assert {name.split(".")[1] for name, part in parts.items() if part == "language"} == {"language_model"}
    assert all(
        name.startswith("model.visual.blocks.")
        for name, part in parts.items()
        if part == "vision" and "patch_embed" not in name
    )
    assert {name.split(".")[2] for name, part in parts.items() if part == "projector"} == {"merger"}


def test_a_text_only_model_is_language_alone() -> None:
    with torch.device("meta"):
        module = Qwen3ForCausalLM(Qwen3Config(hidden_size=32, intermediate_size=64, num_hidden_layers=1, vocab_size=99))
    assert set(adapters.part_of(module).values()) == {"language"}
    with pytest.raises(ModelError, match="has no vision part"):
        adapters.freeze(module, ["vision"])
    with pytest.raises(ModelError, match="leave something to train"):
        adapters.freeze(module, ["language"])


def test_frozen_parts_stay_as_they_are_and_the_rest_learns(own_vlm: VLM) -> None:
    parts, before = adapters.part_of(own_vlm.module), bytes_of(own_vlm)
    adapters.freeze(own_vlm.module, ("vision", "projector"))
    made = trainer(own_vlm)
    made.update(batch(own_vlm))
    changed = {parts[name] for name, value in bytes_of(own_vlm).items() if value != before[name]}
    assert changed == {"language"}
    assert {parts[name] for name in made.state_dict()["weights"]} == {"language"}
    assert {parts[name] for name in made.state_dict()["moments"]} == {"language"}
    assert set(dict(made.named_weights())) == set(before)


@pytest.mark.parametrize("family", sorted(name for name in toys.TOYS if "Mamba" not in name))
def test_parts_and_adapters_are_found_in_every_family(family: str) -> None:
    module, _ = toys.build(family)
    names, parts = dict(module.named_parameters()).keys(), set(adapters.part_of(module).values())
    assert parts in ({"language"}, {"vision", "projector", "language"})
    targets: tuple[adapters.Part, ...] = ("language", "vision") if "vision" in parts else ("language",)
    adapters.add_lora(module, Lora(rank=2, alpha=2.0, parts=targets), seed=0)
    assert dict(adapters.merged_weights(module)).keys() == names
    trained = {name for name, weight in module.named_parameters() if weight.requires_grad}
    owners = adapters.part_of(module)
    assert all(".lora_" in name for name in trained)
    assert {owners[name] for name in trained} == set(targets)


def test_a_class_that_adapters_break_is_refused() -> None:
    with pytest.raises(ModelError, match=r"peft cannot adapt MambaForCausalLM: .*incompatible"):
        adapters.add_lora(toys.build("Mamba (text, recurrent)")[0], LANGUAGE, seed=0)


# ---- adapters ----------------------------------------------------------------------------------------------------


def test_a_fresh_adapter_changes_nothing_but_what_is_trained(tiny_vlm: VLM) -> None:
    made = adapted(tiny_vlm, BOTH)
    assert type(made.module) is type(tiny_vlm.module)
    assert torch.equal(scores(made), scores(tiny_vlm))
    assert all(("lora_" in name) == weight.requires_grad for name, weight in made.module.named_parameters())


@pytest.mark.parametrize("parts", [("language",), ("vision",), ("language", "vision")])
def test_adapters_sit_on_every_linear_layer_of_their_parts_but_the_head(tiny_vlm: VLM, parts: tuple) -> None:
    made, owners = adapted(tiny_vlm, Lora(rank=2, alpha=2.0, parts=parts)), adapters.part_of(tiny_vlm.module)
    linear = {name for name, child in tiny_vlm.module.named_modules() if isinstance(child, torch.nn.Linear)}
    wanted = {name for name in linear - {"lm_head"} if owners[f"{name}.weight"] in parts}
    assert {name.partition(".lora_A")[0] for name, _ in made.module.named_parameters() if ".lora_A" in name} == wanted


def test_an_adapters_first_weights_depend_on_the_seed_alone(tiny_vlm: VLM) -> None:
    state = torch.random.get_rng_state()
    first = bytes_of(adapted(tiny_vlm, seed=1))
    torch.rand(3)
    assert bytes_of(adapted(tiny_vlm, seed=1)) == first
    assert bytes_of(adapted(tiny_vlm, seed=2)) != first
    torch.random.set_rng_state(state)


def test_training_moves_adapters_alone(tiny_vlm: VLM) -> None:
    made = adapted(tiny_vlm, BOTH)
    before = bytes_of(made)
    trainer(made).update(batch(made))
    trainer(made).update(batch(made))  # B moves first, then A too
    changed = {name for name, value in bytes_of(made).items() if value != before[name]}
    assert changed == {name for name in before if "lora_" in name}


def test_named_weights_are_the_merged_model_and_leave_the_module_alone(tiny_vlm: VLM) -> None:
    made = moved(tiny_vlm, BOTH)
    before = bytes_of(made)
    found = dict(trainer(made).named_weights())
    assert found.keys() == dict(tiny_vlm.module.named_parameters()).keys()
    whole = copied(tiny_vlm)
    whole.module.load_state_dict(found, strict=False)
    torch.testing.assert_close(scores(whole), scores(made), atol=1e-5, rtol=0)
    assert float((scores(made) - scores(tiny_vlm)).abs().max()) > 1e-2
    assert bytes_of(made) == before


def test_the_state_of_an_adapter_holds_the_adapter_alone(tiny_vlm: VLM) -> None:
    made = trainer(adapted(tiny_vlm))
    made.update(batch(made.vlm))
    state = made.state_dict()
    assert all("lora_" in name for name in (*state["weights"], *state["moments"]))
    with pytest.raises(CheckpointError, match="other parts of it were trained"):
        trainer(copied(tiny_vlm)).load_state_dict(state)


def test_two_updates_a_resume_and_two_more_equal_four(tiny_vlm: VLM) -> None:
    chosen = batch(tiny_vlm)
    unbroken, broken_off = trainer(adapted(tiny_vlm)), trainer(adapted(tiny_vlm))
    wanted = [unbroken.update(chosen) for _ in range(4)]
    found = [broken_off.update(chosen) for _ in range(2)]
    resumed = trainer(adapted(tiny_vlm, seed=9))
    resumed.load_state_dict(through_disk(broken_off.state_dict()))
    found += [resumed.update(chosen) for _ in range(2)]
    assert found == wanted
    assert bytes_of(resumed.vlm) == bytes_of(unbroken.vlm)


def test_the_policy_without_its_adapter_is_the_reference(tiny_vlm: VLM) -> None:
    own, apart = adapted(tiny_vlm), adapted(tiny_vlm)
    itself, other = trainer(own, reference=own, kl=0.5), trainer(apart, reference=copied(tiny_vlm), kl=0.5)
    for _ in range(3):
        assert itself.update(batch(own)) == other.update(batch(apart))
    assert bytes_of(own) == bytes_of(apart)
    with pytest.raises(ValueError, match="its own reference"):
        trainer(tiny_vlm, reference=tiny_vlm, kl=0.5)


@pytest.mark.parametrize("lora", [Lora(rank=2, alpha=2.0, parts=("vision",)), None], ids=["lora", "frozen"])
def test_text_alone_teaches_a_vision_tower_nothing_and_images_beside_it_do(tiny_vlm: VLM, lora: Lora | None) -> None:
    made = adapted(tiny_vlm, lora) if lora else copied(tiny_vlm)
    if not lora:
        adapters.freeze(made.module, ("language",))
    before, chosen = bytes_of(made), batch(made)
    told = [each for each in chosen if not each.rollout.prompt.images]
    assert trainer(made).update(told)["policy/grad_norm"].sum == 0
    assert bytes_of(made) == before
    assert trainer(made, tokens=1).update(chosen)["policy/grad_norm"].sum > 0  # a micro-batch each
    assert bytes_of(made) != before


def test_an_adapter_on_a_part_without_linear_layers_is_refused() -> None:
    with torch.device("meta"):
        module = Qwen3ForCausalLM(Qwen3Config(hidden_size=32, intermediate_size=64, num_hidden_layers=1, vocab_size=99))
    with pytest.raises(ModelError, match=r"no linear layer in its vision part.*model\.adapter\.parts"):
        adapters.add_lora(module, BOTH, seed=0)


def test_experts_that_an_adapter_does_not_reach_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "vocab_size": 99, "num_attention_heads": 4, "head_dim": 8}
    with torch.device("meta"):
        module = Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes, num_experts=4, moe_intermediate_size=16))
    adapters.add_lora(module, LANGUAGE, seed=0)
    whole = sum(weight.numel() for name, weight in module.named_parameters() if ".lora_" not in name)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "rethinker"]
    assert f"{4 * 3 * 32 * 16:,} of {whole:,} weights of its parts stand in stacks of matrices" in said


@pytest.mark.parametrize("family", ["Qwen2-VL", "Gemma 3", "LLaVA-OneVision", "Qwen3.5 (hybrid)"])
def test_convolutions_and_tables_are_no_experts(family: str, caplog: pytest.LogCaptureFixture) -> None:
    adapters.add_lora(toys.build(family)[0], BOTH, seed=0)
    assert "stacks of matrices" not in caplog.text


# ---- folders -----------------------------------------------------------------------------------------------------


@pytest.fixture
def on_disk(tiny_folder: Path, tiny_vlm: VLM) -> VLM:
    """The untrained model as it was loaded from its folder, with an adapter that does something."""
    vlm = copied(tiny_vlm)
    vlm.module.name_or_path = str(tiny_folder)
    return moved(vlm, BOTH)


def test_peft_loads_the_folder_of_an_adapter(on_disk: VLM, tiny_folder: Path, tiny_vlm: VLM, tmp_path: Path) -> None:
    from peft import PeftModel

    on_disk.save(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    described = json.loads((tmp_path / "adapter_config.json").read_text())
    assert described["base_model_name_or_path"] == str(tiny_folder.resolve())
    loaded = PeftModel.from_pretrained(copy.deepcopy(tiny_vlm.module), tmp_path, is_trainable=True).base_model.model
    assert torch.equal(scores(VLM(loaded, tiny_vlm.processor)), scores(on_disk))


def test_an_adapter_comes_back_from_its_folder(on_disk: VLM, tiny_vlm: VLM, tmp_path: Path) -> None:
    on_disk.save(tmp_path)
    fresh = adapted(tiny_vlm, BOTH, seed=3)
    adapters.load_adapter(fresh.module, tmp_path)
    assert bytes_of(fresh) == bytes_of(on_disk)
    with pytest.raises(ModelError, match="of another model"):
        adapters.load_adapter(adapted(tiny_vlm).module, tmp_path)


def test_settings_of_generation_that_transformers_would_not_write_are_kept(tiny_vlm: VLM, tmp_path: Path) -> None:
    """A temperature without sampling is refused by `save_pretrained`, and by nobody who reads it."""
    sampling = {"temperature": 0.01, "top_p": 0.9, "do_sample": False}
    (tmp_path / "model").mkdir()
    tiny_vlm.save(tmp_path / "model")
    file = tmp_path / "model" / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | sampling))
    loaded = load(str(tmp_path / "model"), device="cpu")
    for folder in ("whole", "merged"):
        (tmp_path / folder).mkdir()
    loaded.save(tmp_path / "whole")
    adapters.save_merged(adapted(loaded).module, tmp_path / "merged")
    for folder in ("whole", "merged"):
        assert json.loads((tmp_path / folder / "generation_config.json").read_text()).items() >= sampling.items()


def test_a_merged_folder_holds_the_buffers_too(tmp_path: Path) -> None:
    """Gemma 4 scales each layer by one that a checkpoint holds."""
    module, _ = toys.build("Gemma 4")
    scales = {name: value.fill_(0.5) for name, value in module.named_buffers() if name.endswith("layer_scalar")}
    assert scales
    adapters.add_lora(module, LANGUAGE, seed=0)
    adapters.save_merged(module, tmp_path)
    back = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert all(torch.equal(back.get_buffer(name), value) for name, value in scales.items())
    assert dict(back.named_parameters()).keys() == dict(adapters.merged_weights(module)).keys()


# ---- gradient checkpointing, types -------------------------------------------------------------------------------


@pytest.mark.parametrize("lora", [None, BOTH], ids=["full", "lora"])
def test_checkpointing_leaves_every_gradient_as_it_is(tiny_vlm: VLM, lora: Lora | None) -> None:
    kept, recomputed = (moved(tiny_vlm, lora) if lora else copied(tiny_vlm) for _ in range(2))
    adapters.recompute_activations(recomputed.module)
    wanted, found = gradients(kept), gradients(recomputed)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(found[name], gradient) for name, gradient in wanted.items())


def test_log_probs_are_float32_where_the_weights_are_not(tiny_vlm: VLM) -> None:
    half = copied(tiny_vlm)
    half.module.to(torch.bfloat16)
    found = scores(half)
    assert found.dtype == torch.float32
    assert not torch.equal(found, found.to(torch.bfloat16).float())
    torch.testing.assert_close(found, scores(tiny_vlm), atol=0.05, rtol=0)


def test_adapters_of_a_bfloat16_model_are_float32(tiny_vlm: VLM) -> None:
    half = copied(tiny_vlm)
    half.module.to(torch.bfloat16)
    made = adapted(half)
    trained = [weight for weight in made.module.parameters() if weight.requires_grad]
    assert {weight.dtype for weight in trained} == {torch.float32}
    assert torch.equal(scores(made), scores(half))
    assert trainer(made).update(batch(made))["policy/grad_norm"].sum > 0
    assert {weight.dtype for _, weight in adapters.merged_weights(made.module)} == {torch.bfloat16}
