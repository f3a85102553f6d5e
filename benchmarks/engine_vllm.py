"""vLLM's arm of `engine.py`: a worker process of another environment, which needs vLLM and nothing of this package.

    PYTHON benchmarks/engine_vllm.py vllm FILE

FILE is JSON that `engine.py` writes: the model's folder, prompts as rendered text with files of images, and the
lengths of all responses in every step. Each response is a request of its own with that many tokens, the end token
ignored; vLLM's prefix cache shares prompts between them, and is emptied before every step, as new weights would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from turns import Clock, Ready, serve

MEMORY_SHARE = 0.4
"""Of the GPU, which the other arms use too."""


def vllm(stated: dict[str, Any], told: Iterator[str], say: Callable[[Any], None]) -> None:
    """Serve the arm."""
    from PIL import Image
    from vllm import LLM, SamplingParams

    images = max((len(prompt["images"]) for prompt in stated["prompts"]), default=0)
    engine = LLM(
        model=stated["folder"],
        load_format="dummy" if stated["random"] else "auto",
        dtype=stated["dtype"],
        max_model_len=stated["most_tokens"],
        gpu_memory_utilization=MEMORY_SHARE,
        enable_prefix_caching=True,
        limit_mm_per_prompt={"image": images},
        seed=0,
    )
    prompts = []
    for each in stated["prompts"]:
        pictures = [Image.open(name).convert("RGB") for name in each["images"]]
        prompts.append({"prompt": each["text"], **({"multi_modal_data": {"image": pictures}} if pictures else {})})
    warm = engine.generate(prompts, SamplingParams(max_tokens=1, ignore_eos=True), use_tqdm=False)
    say(Ready(prompts=[list(map(int, output.prompt_token_ids)) for output in warm], loaded_bytes=0))
    for number, _ in enumerate(told):
        lengths = stated["lengths"][number]
        asked = [prompt for prompt, row in zip(prompts, lengths) for _ in row]
        settings = [
            SamplingParams(temperature=1.0, top_p=1.0, max_tokens=length, ignore_eos=True)
            for row in lengths
            for length in row
        ]
        engine.reset_prefix_cache()
        clock = Clock("cpu")  # `generate` returns when all is done
        outputs = engine.generate(asked, settings, use_tqdm=False)
        say(clock.stop(sum(len(output.outputs[0].token_ids) for output in outputs)))


def read(file: str) -> dict[str, Any]:
    """The work."""
    stated: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    return stated


if __name__ == "__main__":
    serve({"vllm": vllm}, read)
