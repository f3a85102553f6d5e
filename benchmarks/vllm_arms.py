"""Our vLLM engine, plain `vllm.LLM.generate`, and a sync: worker processes that do a step when told to (`turns.py`).

    python benchmarks/vllm_arms.py {ours,plain,sync} '<Work as JSON>'

`ours` and `plain` get the same prompts, images, lengths and seeds, and return log-probs. `plain` is vLLM as it comes,
its prefix cache and its oneDNN linear layers included; both engines' caches are emptied before every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

import shapes
from rethinker.interfaces import Request, Sampling
from rethinker.models.adapters import merged_weights
from rethinker.models.tiny import TINY_FOLDER
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.rollout.scoring import first_requests
from rethinker.rollout.vllm_engine import VllmEngine, served_model
from rethinker.seeding import Purpose
from turns import Clock, Ready, loaded_bytes, serve
from work import Work, pictures, rendered

CACHE_BYTES = 500_000_000
MOST_TOKENS = 1024
SYNC_LAYERS = 12
"""Text layers that make the toy about three million parameters."""


def ours(work: Work, told: Iterator[str], say: Callable[[Any], None]) -> None:
    """Our engine."""
    torch.set_num_threads(work.threads)
    vlm = shapes.load("tiny", device="cpu", dtype="float32")
    engine = started(vlm, str(TINY_FOLDER), rows=work.prompts * work.group)
    say(ready(vlm, work))
    for number, _ in enumerate(told):
        engine.load_weights(merged_weights(vlm.module), version=number)
        clock = Clock("cpu")
        say(clock.stop(sum(len(each.token_ids) for each in generate(engine, requests(vlm, work, number)))))


def plain(work: Work, told: Iterator[str], say: Callable[[Any], None]) -> None:
    """vLLM alone."""
    torch.set_num_threads(work.threads)
    vlm = shapes.load("tiny", device="cpu", dtype="float32")
    from vllm import LLM, SamplingParams

    engine = LLM(
        model=str(TINY_FOLDER),
        dtype="float32",
        max_model_len=MOST_TOKENS,
        max_num_seqs=work.prompts * work.group,
        kv_cache_memory_bytes=CACHE_BYTES,
        block_size=32,
        enforce_eager=True,
        limit_mm_per_prompt={"video": 0},
        seed=0,
    )
    problems = work.problems(vlm.processor)
    texts = [rendered(each, vlm.processor) for each in problems]
    say(ready(vlm, work))
    for number, _ in enumerate(told):
        engine.reset_prefix_cache()
        engine.llm_engine.reset_mm_cache()
        engine.llm_engine.reset_encoder_cache()
        clock = Clock("cpu")
        asked = [
            ({"prompt": text, "multi_modal_data": {"image": pictures(problem)}}, seed, request.sampling.max_tokens)
            for text, problem, request in zip(texts, problems, requests(vlm, work, number), strict=True)
            for seed in request.seeds
        ]
        settings = [
            SamplingParams(
                temperature=1.0,
                seed=seed % 2**63,
                min_tokens=tokens,
                max_tokens=tokens,
                stop_token_ids=list(vlm.eos_ids),
                logit_bias=dict.fromkeys(vlm.forbidden_ids, -100),
                logprobs=0,
                detokenize=False,
            )
            for _, seed, tokens in asked
        ]
        outputs = engine.generate([prompt for prompt, _, _ in asked], settings, use_tqdm=False)
        say(clock.stop(sum(len(output.outputs[0].token_ids) for output in outputs)))


def sync(work: Work, told: Iterator[str], say: Callable[[Any], None]) -> None:
    """`load_weights` of a toy of three million parameters; `tokens` are its parameters."""
    torch.set_num_threads(work.threads)
    processor = shapes.processor()
    described = shapes.config("toy", processor)
    described.text_config.num_hidden_layers = SYNC_LAYERS
    described.text_config.layer_types = ["full_attention"] * SYNC_LAYERS
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vlm = VLM(AutoModelForImageTextToText.from_config(described, dtype=torch.float32), processor)
    with TemporaryDirectory() as folder:
        vlm.save(Path(folder))
        engine = started(vlm, folder, rows=8)
    parameters = sum(weight.numel() for weight in vlm.module.parameters())
    say(ready(shapes.load("tiny", device="cpu", dtype="float32"), work))
    for number, _ in enumerate(told):
        clock = Clock("cpu")
        engine.load_weights(merged_weights(vlm.module), version=number)
        say(clock.stop(parameters))


def started(vlm: VLM, folder: str, *, rows: int) -> VllmEngine:
    """An engine on the CPU."""
    return VllmEngine(
        served_model(vlm, folder),
        device="cpu",
        dtype="float32",
        max_tokens=MOST_TOKENS,
        max_rows=rows,
        cache_bytes=CACHE_BYTES,
    )


def ready(vlm: VLM, work: Work) -> Ready:
    """The worker stands."""
    prompts = [vlm.encode(each, "plain").token_ids.tolist() for each in work.problems(vlm.processor)]
    return Ready(prompts=prompts, loaded_bytes=loaded_bytes("cpu"))


def requests(vlm: VLM, work: Work, number: int) -> list[Request]:
    """A step's requests; siblings are of one length, another for every prompt."""
    made = []
    for problem, lengths in zip(work.problems(vlm.processor), work.lengths(number), strict=True):
        sampling = Sampling(min_tokens=lengths[0], max_tokens=lengths[0])
        prompt = vlm.encode(problem, "plain")
        made += first_requests(
            [prompt], samples=work.group, sampling=sampling, seed=0, purpose=Purpose.FIRST, step=number
        )
    return made


if __name__ == "__main__":
    serve({"ours": ours, "plain": plain, "sync": sync}, Work.read)
