"""What the benchmark of the vLLM engine says is of pairs, and its quick run has both arms return the same."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.benchmarks.running import quick_run

import vllm_engine
from turns import Ready, Step, Trace


def trace(*steps: tuple[float, int]) -> Trace:
    made = tuple(Step(seconds=seconds, cpu_seconds=0, tokens=tokens, peak_bytes=0) for seconds, tokens in steps)
    return Trace(ready=Ready(prompts=[], loaded_bytes=0), steps=made)


def test_the_ratio_is_of_pairs() -> None:
    row = vllm_engine.row(
        {
            "ours": trace((1, 100), (4, 100), (2, 100)),
            "plain": trace((2, 100), (8, 100), (1, 100)),
            "sync": trace((0.2, 9), (0.1, 9), (0.4, 9)),
        }
    )
    assert (row["ratio"], row["sync_s"], row["parameters"]) == (2.0, 0.2, 9)


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_the_quick_run_has_both_arms_return_the_same_number_of_tokens(tmp_path: Path) -> None:
    report, printed = quick_run("vllm_engine.py", tmp_path)
    arms = report["details"][0]["arms"]
    assert [step["tokens"] for step in arms["ours"]] == [step["tokens"] for step in arms["plain"]]
    assert f"{report['rows'][0]['ratio']:.2f}" in printed
