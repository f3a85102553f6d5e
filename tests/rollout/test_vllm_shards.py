"""The learner's weights in an engine of two ranks: vLLM's own tensor parallelism, on the CPU."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from rethinker.errors import ModelError
from rethinker.rollout.vllm_weights import Probe, places

SCRIPT = """
import sys
import torch
from tests.rollout.test_vllm_engine import largest_gap, moved, started
from tests import plain
from rethinker.errors import RethinkerError
from rethinker.models.adapters import merged_weights
from rethinker.models.loading import load
from pathlib import Path

if __name__ == "__main__":
    torch.set_num_threads(1)
    vlm = load(sys.argv[1], device="cpu")
    engine = started(vlm, Path(sys.argv[1]), tensor_parallel=2)
    where = engine.places
    layer = "model.language_model.layers.1."
    fused = {where[f"{layer}self_attn.{name}_proj.weight"].parameter for name in "qkv"}
    assert fused == {"language_model.model.layers.1.self_attn.qkv_proj.weight"}, fused
    assert where[f"{layer}mlp.gate_proj.weight"].parameter == where[f"{layer}mlp.up_proj.weight"].parameter
    assert where[f"{layer}self_attn.k_proj.weight"].copies == 1
    assert where[f"{layer}input_layernorm.weight"].copies == 2
    prompts = plain.some_prompts(vlm)
    engine.load_weights(merged_weights(vlm.module), version=0)
    assert largest_gap(engine, vlm, prompts) < 1e-4
    other = moved(vlm)
    engine.load_weights(merged_weights(other.module), version=1)
    assert largest_gap(engine, other, prompts) < 1e-4
    held = engine.call_workers("weight_squares")
    assert len(held) == 2 and held[0] != held[1]
    engine.close()
    print("two ranks agree")
"""


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_two_ranks_hold_the_learners_weights_and_sample_from_them(tiny_folder: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", tiny_folder],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{root / 'src'}:{root}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "two ranks agree" in done.stdout, done.stderr[-3000:]


def probe(**landed: tuple[str, int] | str) -> Probe:
    return Probe(landed=landed, dtypes={"qkv": "bfloat16", "norm": "float32"}, unfilled=[])


def test_shards_add_up_and_copies_are_counted() -> None:
    """q is split in two, k stands on both ranks, as the norm does."""
    shapes = {"q": (4, 2), "k": (2, 2), "n": (3,)}
    ranks = [probe(q=("qkv", 4), k=("qkv", 4), n=("norm", 3)) for _ in range(2)]
    found = places(ranks, shapes)
    assert [(place.parameter, place.copies) for place in found.values()] == [("qkv", 1), ("qkv", 2), ("norm", 2)]
    assert found["q"].dtype is torch.bfloat16


def test_a_weight_without_a_place_and_a_parameter_without_a_weight_are_named() -> None:
    lost = Probe(landed={"q": "KeyError: 'q'", "k": ("qkv", 3)}, dtypes={"qkv": "float32"}, unfilled=["norm"])
    with pytest.raises(ModelError) as refused:
        places([lost], {"q": (4, 2), "k": (2, 2)})
    assert "no place for q (KeyError: 'q'), k (3 of its elements arrived)" in str(refused.value)
    assert "nothing for vLLM's norm" in str(refused.value)
