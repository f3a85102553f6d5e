"""How far an engine's log-probs are from the learner's in float32 and in bfloat16, and what that does to an update.

    python benchmarks/precision_gap.py [--json OUT] [--picture OUT] [--quick]

An engine samples 8 gym problems × 8 responses of up to 96 tokens, the learner reads them with the same weights. The
embedded model is a trained one; the deep one has the depth of a 7B model, 28 layers, at the embedded one's width, and
random weights, scaled so that it prefers some tokens (4 × 4 responses of 32 tokens). Each pair has its own process.
Three updates on these responses follow, their advantages drawn by coin: with the engine's log-probs as old ones, with
the learner's, and with the learner's and min(old / behaviour, 2) on the loss. How far their weights part is measured
against updates that multiply by old / behaviour without a bound, which is unbiased.
"""

from __future__ import annotations

import copy
import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, GenerationConfig

import reporting
import shapes
from reporting import Bars, Column
from rethinker.interfaces import Request, RolloutEngine, Sampling
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.adapters import merged_weights
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.rollout.vllm_engine import VllmEngine, served_model
from rethinker.seeding import Purpose, generator, key
from rethinker.types import Experience, Outcome, Prompt, Rollout, Verdict
from work import gym

CLIP_LOW, CLIP_HIGH, CAP = 0.2, 0.35, 2.0
LR = 1e-5
DEEP_LAYERS, DEEP_SCALE, DEEP_OUTPUT = 28, 3.0, 20.0
"""The deep model's layers, and what its random matrices and its output layer are multiplied by."""

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An engine beside a learner.

    Attributes:
        model: `tiny` or `deep`.
        engine: `torch` or `vllm`.
        sampled_in: Type of the engine's weights.
        learned_in: Type of the learner's.
    """

    model: str
    engine: str
    sampled_in: str
    learned_in: str
    prompts: int = 8
    group: int = 8
    tokens: int = 96
    updates: int = 3


TYPES = (("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16", "float32"))

COLUMNS = (
    Column(head="model", key="model"),
    Column(head="engine", key="engine"),
    Column(head="samples in", key="sampled_in"),
    Column(head="learns in", key="learned_in"),
    Column(head="tokens", key="tokens", digits=0),
    Column(head="−log p, mean", key="surprise", digits=2),
    Column(head="mean gap, nats", key="gap_mean", digits=7),
    Column(head="largest", key="gap_max", digits=5),
    Column(head="ratio, mean", key="ratio_mean", digits=5),
    Column(head="1st %", key="ratio_p01", digits=4),
    Column(head="99th %", key="ratio_p99", digits=4),
    Column(head="beyond the clip, %", key="beyond_clip", unit=0.01, digits=3),
    Column(head="product over a response, 1st %", key="response_p01", digits=4),
    Column(head="99th %", key="response_p99", digits=4),
)
EFFECTS = (
    Column(head="model", key="model"),
    Column(head="engine", key="engine"),
    Column(head="samples in", key="sampled_in"),
    Column(head="learns in", key="learned_in"),
    Column(head="old log-probs", key="arm"),
    Column(head="ratio, update 1", key="first_ratio", digits=5),
    Column(head="clipped, update 1, %", key="first_clipped", unit=0.01, digits=3),
    Column(head="clipped, last, %", key="last_clipped", unit=0.01, digits=3),
    Column(head="at the cap, %", key="capped", unit=0.01, digits=3),
    Column(head="off the unbiased move, %", key="off", unit=0.01, digits=2),
)
ARMS = ("the engine's", "the learner's", "the learner's, corrected")


def model(name: str, dtype: str) -> VLM:
    """The embedded model, or a deep one of random weights; the same numbers, rounded, in every type."""
    if name == "tiny":
        return shapes.load("tiny", device="cpu", dtype=dtype)
    processor = shapes.processor()
    described = shapes.config("toy", processor)
    described.text_config.num_hidden_layers = DEEP_LAYERS
    described.text_config.layer_types = ["full_attention"] * DEEP_LAYERS
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = AutoModelForImageTextToText.from_config(described, dtype=torch.float32)
    for part in module.modules():
        if isinstance(part, torch.nn.Linear):
            part.weight.data.mul_(DEEP_OUTPUT if part is module.get_output_embeddings() else DEEP_SCALE)
    tokenizer = processor.tokenizer
    ends = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    module.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=tokenizer.pad_token_id)
    return VLM(module.to(getattr(torch, dtype)), processor)


def measured(case: Case) -> dict[str, Any]:
    """The gap of one pair, and its effect; run in a process of its own."""
    torch.set_num_threads(1)
    vlm = model(case.model, case.learned_in)
    experiences = sampled(vlm, case)
    torch.set_num_threads(1)
    with torch.no_grad():
        reader = _learner(vlm, Objective(), case)
        old = reader.token_logprobs(experiences)
    return {**asdict(case), **gap(experiences, old), "effects": effects(vlm, experiences, old, case)}


def sampled(vlm: VLM, case: Case) -> list[Experience]:
    """Responses of the engine, each with an advantage by coin; those of one group add up to about nothing."""
    problems = [gym(number, 1) for number in range(case.prompts)]
    prompts = {problem.id: vlm.encode(problem, "plain") for problem in problems}
    requests = [
        Request(
            id=name,
            prompt=prompt,
            prefix=np.zeros(0, dtype=np.int64),
            sampling=Sampling(max_tokens=case.tokens, min_tokens=1),
            seeds=tuple(key(0, Purpose.FIRST, problem_id=name, sample=sample) for sample in range(case.group)),
        )
        for name, prompt in prompts.items()
    ]
    with TemporaryDirectory() as folder:
        engine = engine_of(vlm, case, Path(folder))
        made = sorted(generate(engine, requests), key=lambda each: (each.request_id, each.sample))
    return [_experience(prompts[each.request_id], each) for each in made]


def _experience(prompt: Prompt, made: Any) -> Experience:
    length = len(made.token_ids)
    coin = generator(0, Purpose.BOOTSTRAP, problem_id=prompt.problem_id, sample=made.sample).random() < 0.5
    rollout = Rollout(
        prompt=prompt,
        sample=made.sample,
        token_ids=made.token_ids,
        logprobs=made.logprobs,
        forced=np.zeros(length, dtype=np.bool_),
        text="",
        finish_reason=made.finish_reason,
        policy_version=0,
        verdict=Verdict(outcome=Outcome.WRONG, reward=0.0, extracted=None),
    )
    even = np.full(length, 1 / length, dtype=np.float32)
    return Experience(rollout=rollout, advantage=0.5 if coin else -0.5, rl=even, imitation=np.zeros_like(even))


def engine_of(vlm: VLM, case: Case, folder: Path) -> RolloutEngine:
    """An engine with the learner's weights in its own type; the learner's own module where the types are one."""
    if case.engine == "torch":
        if case.sampled_in == case.learned_in:
            return TorchEngine(vlm)
        return TorchEngine(VLM(copy.deepcopy(vlm.module).to(getattr(torch, case.sampled_in)), vlm.processor))
    vlm.save(folder)
    engine = VllmEngine(
        served_model(vlm, str(folder)),
        device="cpu",
        dtype=case.sampled_in,
        max_tokens=1024,
        max_rows=case.prompts * case.group,
        cache_bytes=500_000_000,
    )
    engine.load_weights(merged_weights(vlm.module), version=0)
    return engine


def gap(experiences: Sequence[Experience], old: Sequence[Array]) -> dict[str, float]:
    """Of the tokens: |learner − engine| and exp of the difference; of whole responses the product."""
    by_response = [own.astype(np.float64) - each.rollout.logprobs for own, each in zip(old, experiences, strict=True)]
    off = np.concatenate(by_response)
    ratio = np.exp(off)
    products = np.exp([each.sum() for each in by_response])
    return {
        "tokens": len(off),
        "surprise": float(-np.concatenate(old).mean()),
        "gap_mean": float(np.abs(off).mean()),
        "gap_max": float(np.abs(off).max()),
        "ratio_mean": float(ratio.mean()),
        "ratio_p01": float(np.quantile(ratio, 0.01)),
        "ratio_p99": float(np.quantile(ratio, 0.99)),
        "beyond_clip": float(((ratio < 1 - CLIP_LOW) | (ratio > 1 + CLIP_HIGH)).mean()),
        "beyond_cap": float((ratio > CAP).mean()),
        "response_p01": float(np.quantile(products, 0.01)),
        "response_p99": float(np.quantile(products, 0.99)),
    }


def effects(vlm: VLM, experiences: Sequence[Experience], old: Sequence[Array], case: Case) -> list[dict[str, Any]]:
    """The same updates under each way to take the gap."""
    told = [replace(each, old=own) for each, own in zip(experiences, old, strict=True)]
    given = dict(zip(ARMS, ((experiences, "none", CAP), (told, "none", CAP), (told, "token", CAP)), strict=True))
    unbiased, _ = _updated(vlm, told, "token", math.inf, case)
    found = []
    for arm, (chosen, correction, cap) in given.items():
        moved, said = _updated(vlm, chosen, correction, cap, case)
        found.append({"arm": arm, "off": float((moved - unbiased).norm() / unbiased.norm()), **said})
    return found


def _updated(
    vlm: VLM, chosen: Sequence[Experience], correction: Any, cap: float, case: Case
) -> tuple[torch.Tensor, dict[str, float | None]]:
    """How the weights moved, and what the first and the last update said."""
    made = _learner(
        VLM(copy.deepcopy(vlm.module), vlm.processor), Objective(correction=correction, ratio_cap=cap), case
    )
    start = _flat(made)
    said = [made.update(chosen) for _ in range(case.updates)]
    capped = said[0].get("policy/correction_capped")
    return _flat(made) - start, {
        "first_ratio": said[0]["policy/ratio_mean"].value,
        "first_clipped": said[0]["policy/clip_fraction"].value,
        "last_clipped": said[-1]["policy/clip_fraction"].value,
        "capped": capped.value if capped else None,
    }


def _learner(vlm: VLM, objective: Objective, case: Case) -> PolicyLearner:
    optimisation = Optimisation(steps=case.updates, lr=LR, warmup=0.0, final_lr=1.0, micro_batch_tokens=4096)
    return PolicyLearner(vlm, objective=objective, optimisation=optimisation)


def _flat(made: PolicyLearner) -> torch.Tensor:
    """The weights that the optimiser moves: of half precision their float32 masters."""
    state = made.state_dict()
    held = state["weights"] | state["masters"]
    return torch.cat([weight.flatten().double() for weight in held.values()])


def all_measured(chosen: Sequence[Case], *, at_once: int) -> list[dict[str, Any]]:
    """Each case in a process of its own, as vLLM leaves its settings behind; no time is taken, so some run at once."""
    if len(chosen) == 1:
        return [measured(chosen[0])]
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawned, max_tasks_per_child=1) as pool:
        return list(pool.map(measured, chosen))


def cases(*, quick: bool) -> list[Case]:
    """What is measured: both models, all types, and vLLM where it is installed."""
    if quick:
        small = {"prompts": 2, "group": 2, "tokens": 8, "updates": 2}
        return [Case(model="tiny", engine="torch", sampled_in="bfloat16", learned_in="float32", **small)]
    engines = ["torch"] + ["vllm"] * (find_spec("vllm") is not None)
    sizes: dict[str, dict[str, int]] = {"tiny": {}, "deep": {"prompts": 4, "group": 4, "tokens": 32}}
    return [
        Case(model=model, engine=engine, sampled_in=sampled_in, learned_in=learned_in, **sizes[model])
        for model in sizes
        for engine in engines
        for sampled_in, learned_in in TYPES
    ]


def tables(report: reporting.Row) -> str:
    """The gap, and its effect, as Markdown."""
    effects = [row | effect for row in report["rows"] for effect in row["effects"]]
    return f"{reporting.table(COLUMNS, report['rows'])}\n\n{reporting.table(EFFECTS, effects)}"


def charts(report: reporting.Row) -> list[Bars]:
    """Mean gaps, and how far each way to take them is from the unbiased move."""
    rows = report["rows"]
    places = [
        f"{row['model']}, {row['engine']}\n{_short(row['sampled_in'])} / {_short(row['learned_in'])}" for row in rows
    ]
    off = {arm: [100 * row["effects"][number]["off"] for row in rows] for number, arm in enumerate(ARMS)}
    gaps = {"mean gap": [1000 * row["gap_mean"] for row in rows]}
    return [
        Bars(title="Engine beside learner", unit="thousandths of a nat", places=places, series=gaps),
        Bars(title="Weights after 3 updates, off the unbiased move", unit="%", places=places, series=off),
    ]


def _short(dtype: str) -> str:
    return {"float32": "f32", "bfloat16": "bf16"}[dtype]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write and draw them if asked."""
    parser = reporting.parser(__doc__.splitlines()[0], repeats=1, quick="one pair, a tiny batch")
    arguments = reporting.parsed(parser, argv)
    report = reporting.head("precision_gap", arguments)
    rows = all_measured(cases(quick=arguments.quick), at_once=arguments.threads)
    report |= {"rows": rows, "details": {"lr": LR, "clip": [CLIP_LOW, CLIP_HIGH], "cap": CAP}}
    print(tables(report), flush=True)
    reporting.write(report, arguments.json)
    reporting.draw(charts(report), arguments.picture)


if __name__ == "__main__":
    main()
