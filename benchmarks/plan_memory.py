"""The plan's memory beside measured peaks of live tensors: four sizes of a Qwen2.5-VL, trained and generating.

python benchmarks/plan_memory.py [--to docs/results/plan.json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_iter
from transformers import AutoConfig, AutoProcessor, Qwen2_5_VLForConditionalGeneration

import machine
from live_tensors import LivePeak
from rethinker.interfaces import Request, Sampling
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models import adapters
from rethinker.models.tiny import TINY_FOLDER
from rethinker.models.vlm import VLM
from rethinker.planning import generation, memory
from rethinker.planning.architecture import measure
from rethinker.planning.generation import GREEDY, SAMPLED, Asked, Bounds
from rethinker.planning.shapes import MicroBatch
from rethinker.rollout.engine import generate
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.types import Experience, Image, Outcome, Problem, Prompt, Rollout, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a model is trained.

    Attributes:
        bfloat16: Its weights; float32 otherwise.
        lora: Parts that have an adapter; none trains the weights.
    """

    bfloat16: bool = False
    lora: tuple[adapters.Part, ...] = ()
    checkpointed: bool = False

    @property
    def width(self) -> int:
        """Bytes of a weight."""
        return 2 if self.bfloat16 else 4


WAYS = {
    "full": Way(),
    "lora": Way(lora=("language", "vision")),
    "checkpointing": Way(checkpointed=True),
    "bfloat16": Way(bfloat16=True),
    "bfloat16 checkpointing": Way(bfloat16=True, checkpointed=True),
    "bfloat16 lora checkpointing": Way(bfloat16=True, lora=("language",), checkpointed=True),
}
KINDS = ("first looks", "second looks", "evaluation")
GENERATING = {"": Way(), "bfloat16 ": Way(bfloat16=True), "bfloat16 lora ": Way(bfloat16=True, lora=("language",))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Widths of a model, and the batch it is measured with."""

    width: int
    inner: int
    layers: int
    heads: int
    vision_width: int
    vision_inner: int
    vision_layers: int
    vocabulary: int
    group: int
    response: int


SIZES = {
    "2M": Size(
        width=128, inner=384, layers=4, heads=4, vision_width=128, vision_inner=256, vision_layers=3,
        vocabulary=512, group=8, response=96,
    ),
    "9M": Size(
        width=256, inner=768, layers=6, heads=8, vision_width=192, vision_inner=512, vision_layers=4,
        vocabulary=8192, group=4, response=64,
    ),
    "55M": Size(
        width=512, inner=1536, layers=12, heads=8, vision_width=320, vision_inner=1024, vision_layers=6,
        vocabulary=16384, group=4, response=48,
    ),
    "80M": Size(
        width=768, inner=4096, layers=4, heads=12, vision_width=640, vision_inner=1712, vision_layers=4,
        vocabulary=16384, group=4, response=48,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Bytes planned and measured, of all that lives and of what was there before (weights, masters, moments)."""

    size: str
    way: str
    parameters: int
    planned: int
    measured: int
    planned_at_rest: int
    at_rest: int
    parts: dict[str, int]

    @property
    def error(self) -> float:
        """(planned − measured) / measured."""
        return self.planned / self.measured - 1

    @property
    def error_at_rest(self) -> float:
        """The same of what stays."""
        return self.planned_at_rest / self.at_rest - 1

    @property
    def error_added(self) -> float:
        """The same of what an update or generation adds."""
        return (self.planned - self.planned_at_rest) / (self.measured - self.at_rest) - 1


def compare_update(name: str, way: str) -> Comparison:
    """Plan one update of two micro-batches, and measure it."""
    size, how = SIZES[name], WAYS[way]
    vlm = build(size, how)
    prompts = [prompt(vlm, number) for number in range(2)]
    batch = MicroBatch(
        prompts=1,
        prompt_tokens=len(prompts[0].token_ids),
        responses=size.group,
        response_tokens=size.response,
        image_tokens=image_tokens(vlm, prompts[0]),
        tables=True,
    )
    learner = PolicyLearner(
        vlm, objective=Objective(), optimisation=Optimisation(steps=9, lr=1e-5, micro_batch_tokens=batch.tokens)
    )
    learner.update(responses(prompts[0], 1, 2))  # so that the optimiser's moments are there
    learner.policy_synced(1)
    chosen = [each for asked in prompts for each in responses(asked, size.group, size.response)]
    held = tree_iter((list(vlm.module.parameters()), list(vlm.module.buffers()), learner.state_dict()))
    model = measure(vlm.module)
    update = memory.of_update(model, batch, width=how.width, checkpointed=how.checkpointed)
    return _compared(
        name, way, vlm, memory.kept(model, width=how.width), update, held, prompts, lambda: learner.update(chosen)
    )


def compare_generation(name: str, kind: str, way: str) -> Comparison:
    """Plan rows that decode while others come, and measure them: two requests end a little early, others follow."""
    size, how = SIZES[name], GENERATING[way]
    vlm = build(size, how)
    rows, prefix = (1 if kind == "evaluation" else size.group), (size.response if kind == "second looks" else 0)
    together, total = (3 * rows, 5 * rows) if kind == "first looks" else (12, 16)
    prompts = [prompt(vlm, number) for number in range(total // rows)]
    length = len(prompts[0].token_ids)
    asked = Asked(
        prompts=len(prompts),
        rows=rows,
        prompt_tokens=length,
        prefix_tokens=prefix,
        response_tokens=size.response,
        image_tokens=image_tokens(vlm, prompts[0]),
        score_tables=GREEDY if kind == "evaluation" else SAMPLED,
    )
    model = measure(vlm.module)
    bounds = Bounds(max_rows=together, cache_bytes=10**12, read_tokens=2 * (length + prefix))
    engine = TorchEngine(vlm, max_rows=bounds.max_rows, cache_bytes=bounds.cache_bytes, read_tokens=bounds.read_tokens)
    added = generation.of_generation(model, asked, bounds, width=how.width)
    held = [*vlm.module.parameters(), *vlm.module.buffers()]
    stays = {"weights": memory.kept(model, width=how.width)["weights"]}
    run = partial(list, generate(engine, requests(asked, prompts)))
    return _compared(name, f"{way}{kind}", vlm, stays, added, held, prompts, run)


def _compared(
    size: str,
    way: str,
    vlm: VLM,
    stays: Mapping[str, int],
    added: Mapping[str, int],
    held: Iterable[Any],
    prompts: Sequence[Prompt],
    run: Callable[[], object],
) -> Comparison:
    processed = [tensor for each in prompts for tensor in vlm.prepared(each).pixels.values()]
    with LivePeak((each for each in held if isinstance(each, Tensor)), elsewhere=processed) as live:
        at_rest = live.peak
        run()
    total = measure(vlm.module).total
    return Comparison(
        size=size,
        way=way,
        parameters=total.total - total.adapter,
        planned=sum(stays.values()) + sum(added.values()),
        measured=live.peak,
        planned_at_rest=sum(stays.values()),
        at_rest=at_rest,
        parts={**stays, **added},
    )


def requests(asked: Asked, prompts: Sequence[Prompt]) -> list[Request]:
    """What `asked` says; the first two end an eighth earlier."""
    prefix = np.random.default_rng(0).integers(20, 400, asked.prefix_tokens)
    temperature = 0.0 if asked.score_tables == GREEDY else 1.0
    made = []
    for number in range(asked.prompts * asked.rows // asked.request_rows):
        tokens = asked.response_tokens * (7 if number < 2 else 8) // 8
        made.append(
            Request(
                id=str(number),
                prompt=prompts[number * asked.request_rows // asked.rows],
                prefix=prefix,
                sampling=Sampling(temperature=temperature, max_tokens=tokens, min_tokens=tokens),
                seeds=tuple(range(asked.request_rows)),
            )
        )
    return made


def build(size: Size, way: Way) -> VLM:
    """A Qwen2.5-VL of this size with the tiny model's tokenizer and processor; its output layer has rows to spare."""
    config = AutoConfig.from_pretrained(TINY_FOLDER)
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = size.width, size.inner, size.layers
    text.num_attention_heads, text.num_key_value_heads = size.heads, 2
    half = size.width // size.heads // 2
    text.rope_parameters["mrope_section"] = [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]
    text.vocab_size, text.layer_types = size.vocabulary, ["full_attention"] * size.layers
    vision.hidden_size, vision.intermediate_size, vision.depth = (
        size.vision_width,
        size.vision_inner,
        size.vision_layers,
    )
    vision.out_hidden_size, vision.fullatt_block_indexes = size.width, [size.vision_layers - 1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Qwen2_5_VLForConditionalGeneration(config).to(torch.bfloat16 if way.bfloat16 else torch.float32)
    vlm = VLM(module, AutoProcessor.from_pretrained(TINY_FOLDER))
    if way.lora:
        adapters.add_lora(module, adapters.Lora(rank=8, alpha=16.0, parts=way.lora), seed=0)
    if way.checkpointed:
        adapters.recompute_activations(module)
    return vlm


def image_tokens(vlm: VLM, asked: Prompt) -> int:
    """Tokens of a prompt that stand for its images."""
    return int((asked.token_ids == vlm.module.config.image_token_id).sum())


def prompt(vlm: VLM, number: int) -> Prompt:
    """Two pictures and a question."""
    pixels = np.random.default_rng(number).integers(0, 256, (2, 196, 224, 3), dtype=np.uint8)
    problem = Problem(
        id=f"p{number}",
        images=tuple(Image(pixels=each) for each in pixels),
        question="<image>Is the first darker than <image>the second?",
        answer="yes",
        verifier="text",
    )
    return vlm.encode(problem, "plain")


def responses(asked: Prompt, count: int, length: int) -> list[Experience]:
    """Responses of one length, with an advantage."""
    zeros = np.zeros(length, dtype=np.float32)
    verdict = Verdict(outcome=Outcome.WRONG, reward=0.0, extracted=None)
    return [
        Experience(
            rollout=Rollout(
                prompt=asked,
                sample=sample,
                token_ids=np.random.default_rng(sample).integers(20, 400, length),
                logprobs=zeros - 6,
                forced=np.zeros(length, dtype=np.bool_),
                text="",
                finish_reason="stop",
                policy_version=0,
                verdict=verdict,
            ),
            advantage=1.0,
            rl=zeros + np.float32(1 / length),
            imitation=zeros,
        )
        for sample in range(count)
    ]


def main() -> None:
    """Compare every size and way; write and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--to", type=Path, default=Path("docs/results/plan.json"))
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=SIZES)
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    runs: list[Callable[[], Comparison]] = []
    for size in parsed.sizes:
        runs += [partial(compare_update, size, way) for way in WAYS]
        runs += [partial(compare_generation, size, kind, way) for way in GENERATING for kind in KINDS]
    rows = []
    for run in runs:
        found = run()
        errors = {"error": found.error, "error_at_rest": found.error_at_rest, "error_added": found.error_added}
        rows.append(asdict(found) | errors)
        print(
            f"{found.size:>4} {found.way:<28} planned {found.planned / 1e6:8.1f} MB  measured "
            f"{found.measured / 1e6:8.1f} MB  {found.error:+.1%}  at rest {found.error_at_rest:+.1%}  "
            f"added {found.error_added:+.1%}",
            flush=True,
        )
        parsed.to.write_text(json.dumps({"machine": machine.record(), "comparisons": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
