import os
import sys
from pathlib import Path

import pytest
from tests.benchmarks.running import quick_run

import engine
from turns import Ready, Step, Trace

STUB = '''
"""Answers as vLLM does, and samples nothing."""

import json
from pathlib import Path
from types import SimpleNamespace

from transformers import AutoProcessor


class SamplingParams:
    def __init__(self, *, max_tokens, ignore_eos, **_):
        assert ignore_eos
        self.max_tokens = max_tokens


class LLM:
    def __init__(self, model, max_model_len, limit_mm_per_prompt, **_):
        assert limit_mm_per_prompt == {"image": 1}
        self.processor, self.most = AutoProcessor.from_pretrained(model), max_model_len
        self.fresh = False

    def reset_prefix_cache(self):
        self.fresh = True

    def generate(self, prompts, settings, use_tqdm):
        several = settings if isinstance(settings, list) else [settings] * len(prompts)
        assert self.fresh or several[0].max_tokens == 1
        self.fresh = False
        made = []
        for prompt, params in zip(prompts, several, strict=True):
            ids = self.processor(text=[prompt["prompt"]], images=prompt["multi_modal_data"]["image"])["input_ids"][0]
            assert len(ids) + params.max_tokens <= self.most
            made.append(
                SimpleNamespace(prompt_token_ids=ids, outputs=[SimpleNamespace(token_ids=[0] * params.max_tokens)])
            )
        return made
'''


def traces(**seconds: list[float]) -> dict[str, Trace]:
    return {
        name.replace("_", "-"): Trace(
            ready=Ready(prompts=[], loaded_bytes=0),
            steps=tuple(Step(seconds=s, cpu_seconds=s, tokens=100, peak_bytes=0) for s in values),
        )
        for name, values in seconds.items()
    }


def test_ours_is_compared_with_the_faster_arm_of_generate() -> None:
    row = engine.row(engine.BASE, traces(ours=[1.0], generate=[4.0], generate_static=[3.0]))
    assert (row.generate_arm, row.ratio, row.target) == ("generate-static", pytest.approx(3.0), 2.0)
    assert (row.vllm_tokens_per_s, row.vllm_ratio) == (None, None)


def test_the_ratio_to_generate_is_of_pairs() -> None:
    row = engine.row(engine.BASE, traces(ours=[1.0, 4.0, 2.0], generate=[3.0, 8.0, 8.0], vllm=[1.0, 4.0, 2.0]))
    assert row.ratio == pytest.approx(3.0)
    assert row.vllm_ratio == pytest.approx(1.0)


def test_the_quick_run_has_every_arm_return_the_same_unequal_lengths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = tmp_path / "stub"
    stub.mkdir()
    (stub / "vllm.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(stub), os.environ.get("PYTHONPATH", "")]))
    report, printed = quick_run("engine.py", tmp_path, "--vllm-python", sys.executable)
    (row,), (behind,) = report["rows"], report["details"]
    assert engine.tables(report) in printed
    wanted = [length for prompt in engine.QUICK.lengths(1) for length in prompt]
    assert len(set(wanted)) > 1
    assert {name: arm["tokens"] for name, arm in behind["arms"].items()} == {
        name: [sum(wanted)] for name in ("ours", "generate", "vllm")
    }
    assert row["vllm_ratio"] > 0
