"""The plan's memory beside measured peaks of live tensors: three sizes of a Qwen2.5-VL, each trained in three ways.

python benchmarks/plan_memory.py [--to docs/results/plan.json]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoProcessor, Qwen2_5_VLForConditionalGeneration

import machine
from live_tensors import LivePeak
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models import adapters
from rethinker.models.tiny import TINY_FOLDER
from rethinker.models.vlm import VLM
from rethinker.planning import memory
from rethinker.planning.architecture import measure
from rethinker.planning.shapes import micro_batch
from rethinker.types import Experience, Image, Outcome, Problem, Prompt, Rollout, Verdict

WAYS = ("full", "lora", "checkpointing")


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
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Bytes planned and measured, and how much of the measured peak was there before the update."""

    size: str
    way: str
    parameters: int
    planned: int
    measured: int
    at_rest: int
    parts: dict[str, int]

    @property
    def error(self) -> float:
        """(planned − measured) / measured."""
        return self.planned / self.measured - 1

    @property
    def error_of_update(self) -> float:
        """The same of what the update adds to what stays."""
        return (self.planned - self.at_rest) / (self.measured - self.at_rest) - 1


def compare(name: str, way: str) -> Comparison:
    """Plan one update of two micro-batches, and measure it."""
    size = SIZES[name]
    vlm = build(size)
    if way == "lora":
        adapters.add_lora(vlm.module, adapters.Lora(rank=8, alpha=16.0, parts=("language", "vision")), seed=0)
    if way == "checkpointing":
        adapters.recompute_activations(vlm.module)
    prompts = [prompt(vlm, number) for number in range(2)]
    groups = [responses(each, size.group, size.response) for each in prompts]
    budget = len(prompts[0].token_ids) + size.group * size.response
    learner = PolicyLearner(
        vlm, objective=Objective(), optimisation=Optimisation(steps=9, lr=1e-5, micro_batch_tokens=budget)
    )
    learner.update(responses(prompts[0], 1, 2))  # so that the optimiser's moments are there
    vlm.module.zero_grad(set_to_none=True)
    held = [*vlm.module.parameters(), *vlm.module.buffers()]
    held += [value for state in learner._optimizer.state.values() for value in state.values()]
    with LivePeak(held) as live:
        at_rest = live.peak
        learner.update([each for group in groups for each in group])
    model = measure(vlm.module)
    batch = micro_batch(
        prompt_tokens=len(prompts[0].token_ids),
        response_tokens=size.response,
        image_tokens=int((prompts[0].token_ids == vlm.module.config.image_token_id).sum()),
        group_size=size.group,
        shared=True,
        budget=budget,
    )
    stays = memory.kept(model, width=4, reference=False)
    update = memory.of_update(model, batch, width=4, checkpointed=way == "checkpointing")
    planned = memory.Memory(stays=stays, update=update, generation={}).peak
    return Comparison(
        size=name,
        way=way,
        parameters=model.total.total - model.total.adapter,
        planned=planned,
        measured=live.peak,
        at_rest=at_rest,
        parts=stays | update,
    )


def build(size: Size) -> VLM:
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
        module = Qwen2_5_VLForConditionalGeneration(config)
    return VLM(module, AutoProcessor.from_pretrained(TINY_FOLDER))


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
    found = [compare(size, way) for size in parsed.sizes for way in WAYS]
    rows = [asdict(each) | {"error": each.error, "error_of_update": each.error_of_update} for each in found]
    for row in rows:
        print(
            f"{row['size']:>4} {row['way']:<14} planned {row['planned'] / 1e6:8.1f} MB  measured "
            f"{row['measured'] / 1e6:8.1f} MB  {row['error']:+.1%}  of the update {row['error_of_update']:+.1%}"
        )
    parsed.to.write_text(json.dumps({"machine": machine.record(), "comparisons": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
