"""What is asked of every family of models: the tests assert it, the page of families (`docs/families.md`) shows it.

The yardstick is the family's own processor and its own module with the attention that Hugging Face gives it. A check
raises AssertionError where something does not hold and returns the largest difference that it measured.
"""

from __future__ import annotations

import copy
import itertools
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from tests.learner.given import VERDICT
from tests.models import toys
from torch import Tensor

from rethinker.interfaces import Request, Sampling
from rethinker.learner.collate import collate
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.learner.logprobs import token_logprobs
from rethinker.learner.micro_batches import split
from rethinker.models.loading import load
from rethinker.models.templates import messages
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.types import Completion, Experience, Image, Outline, Problem, Prompt, Rollout

Sizes = tuple[tuple[int, int], ...]

SIZES: dict[str, Sizes] = {
    "told": (),
    "one": ((56, 84),),
    "wide": ((20, 190),),
    "tall": ((200, 40),),
    "several": ((60, 60), (90, 33), (28, 28)),
}
"""Image sizes of five problems that share batches."""

SAMPLES = 2


class Subject:
    """One family: the stock module, and a VLM on the same weights."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stock, _ = toys.build(name)
        module, processor = toys.build(name)
        self.vlm = VLM(module, processor)
        shown = [shapes for shapes in SIZES if self.vlm.sees_images or not SIZES[shapes]]
        self.problems = [problem(shape) for shape in shown]
        if not self.vlm.sees_images:
            self.problems.append(Problem(id="more", images=(), question="2 + 2?", answer="4", verifier="number"))
        self.prompts = [self.vlm.encode(each, "plain") for each in self.problems]
        self.completions = sampled(self.vlm, self.prompts)
        self.experiences = [
            experience(prompt, completion, advantage=1.0 if number % 2 else -0.5)
            for number, (prompt, completion) in enumerate(self.completions)
        ]


@cache
def subject(name: str) -> Subject:
    """Built once per process: read it, do not train it."""
    return Subject(name)


def problem(name: str) -> Problem:
    """A problem with images of `SIZES[name]`, its marks amid the text."""
    rng = np.random.default_rng(len(name))
    images = tuple(Image(pixels=rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in SIZES[name])
    question = "Compare" + "".join(f" <image>\nno. {number}, " for number in range(len(images))) + " which is best? "
    return Problem(id=name, images=images, question=question, answer="3", verifier="number")


def sampled(vlm: VLM, prompts: Sequence[Prompt]) -> list[tuple[Prompt, Completion]]:
    """Two completions of different length per prompt, all sampled together."""
    sampling = Sampling(max_tokens=9, min_tokens=9)
    none = np.zeros(0, dtype=np.int64)
    requests = [
        Request(id=each.problem_id, prompt=each, prefix=none, sampling=sampling, seeds=tuple(range(SAMPLES)))
        for each in prompts
    ]
    found = {(made.request_id, made.sample): made for made in generate(TorchEngine(vlm), requests)}
    return [(each, found[each.problem_id, sample]) for each in prompts for sample in range(SAMPLES)]


def experience(prompt: Prompt, completion: Completion, *, advantage: float) -> Experience:
    """A completion as the learner gets it; the second of a prompt is shorter."""
    length = len(completion.token_ids) - 3 * completion.sample
    rollout = Rollout(
        prompt=prompt,
        sample=completion.sample,
        token_ids=completion.token_ids[:length],
        logprobs=completion.logprobs[:length],
        forced=np.zeros(length, dtype=np.bool_),
        text="",
        finish_reason="length",
        policy_version=0,
        verdict=VERDICT,
    )
    even = np.full(length, 1 / length, dtype=np.float32)
    return Experience(rollout=rollout, advantage=advantage, rl=even, imitation=np.zeros_like(even))


# ---- the yardstick ----


def stock_logprobs(module: Any, processor: Any, prompt: Prompt, response: np.ndarray) -> Tensor:
    """Log-probabilities by the module's own forward on the processor's own inputs, with gradient."""
    inputs = stock_inputs(processor, prompt)
    tail = torch.from_numpy(response)[None]
    filled = {"input_ids": tail, "attention_mask": torch.ones_like(tail)}
    extended = {
        name: torch.cat([value, filled.get(name, torch.zeros_like(tail))], dim=1)
        if name in (*filled, "mm_token_type_ids", "token_type_ids")
        else value
        for name, value in inputs.items()
    }
    scores = module(**extended).logits[0, -len(response) - 1 : -1]
    return torch.log_softmax(scores.float(), dim=-1).gather(-1, tail.T)[:, 0]


def stock_inputs(processor: Any, prompt: Prompt) -> dict[str, Tensor]:
    """What the processor's chat template makes of the prompt's problem, in one call of Hugging Face's."""
    turns = messages(QUESTIONS[prompt.problem_id], "plain", in_parts=bool(processor.chat_template))
    images = iter(prompt.images)
    if processor.chat_template:
        for part in turns[0]["content"]:
            if part["type"] == "image":
                part["image"] = Pillow.fromarray(next(images).pixels)
    call = processor.apply_chat_template if processor.chat_template else processor.tokenizer.apply_chat_template
    return dict(call(turns, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True))


QUESTIONS = {name: problem(name).question for name in SIZES} | {"more": "2 + 2?"}


def gradients(loss: Tensor, module: Any) -> dict[str, Tensor]:
    named = dict(module.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {name: torch.zeros_like(named[name]) if g is None else g for name, g in zip(named, found, strict=True)}


def gradient_gap(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """Relative to the norm of each parameter's gradient, or of a hundredth of the whole where that is larger."""
    whole = float(torch.stack([g.norm() for g in right.values()]).norm())
    return max(float((left[n] - right[n]).norm() / max(float(right[n].norm()), 1e-2 * whole)) for n in right)


def learner_logprobs(vlm: VLM, chosen: Sequence[Experience], *, share_prompts: bool = True) -> list[Tensor]:
    """One tensor per experience, in the order given."""
    found: dict[int, Tensor] = {}
    for micro in split(chosen, vlm, share_prompts=share_prompts, token_budget=100_000):
        flat, _ = token_logprobs(vlm, collate(micro, vlm, policy_version=0))
        inside = [e for row in micro for e in row.experiences]
        parts = flat.split([len(e.rollout.token_ids) for e in inside])
        found |= {id(e): part for e, part in zip(inside, parts, strict=True)}
    return [found[id(e)] for e in chosen]


# ---- the checks ----


def prompts_are_the_processors(of: Subject) -> float:
    """Ids are those of Hugging Face's own call, and there is one placeholder for each image feature."""
    for prompt in of.prompts:
        wanted = stock_inputs(of.vlm.processor, prompt)
        assert prompt.token_ids.tolist() == wanted["input_ids"][0].tolist()
    if of.vlm.sees_images:
        with torch.no_grad():
            pooled = of.vlm.module.base_model.get_image_features(**of.vlm.vision(of.prompts)).pooler_output
        width = of.vlm.module.config.get_text_config().hidden_size
        features = sum(part.numel() for part in ([pooled] if isinstance(pooled, Tensor) else pooled)) // width
        placeholders = sum(int((p.token_ids == of.vlm.module.config.image_token_id).sum()) for p in of.prompts)
        assert placeholders == features > 0
    return 0.0


def lengths_are_counted_from_sizes(of: Subject) -> float:
    """The prompt's length is known without its pixels."""
    for each, prompt in zip(of.problems, of.prompts, strict=True):
        outline = Outline(
            id=each.id, question=each.question, image_sizes=tuple(image.pixels.shape[:2] for image in each.images)
        )
        assert of.vlm.prompt_length(outline, "plain") == len(prompt.token_ids)
    return 0.0


def engine_logprobs_are_the_forwards(of: Subject) -> float:
    """Log-probabilities of sampled tokens; rows with no, one and several images decode together."""
    with torch.no_grad():
        gaps = [
            np.abs(
                completion.logprobs - stock_logprobs(of.stock, of.vlm.processor, prompt, completion.token_ids).numpy()
            ).max()
            for prompt, completion in of.completions
        ]
    return float(max(gaps))


def shared_logprobs_are_separate_ones(of: Subject) -> float:
    """The learner's log-probabilities; all responses in one micro-batch where prompts are shared."""
    with torch.no_grad():
        packed = learner_logprobs(of.vlm, of.experiences)
        gaps = [
            (part - stock_logprobs(of.stock, of.vlm.processor, e.rollout.prompt, e.rollout.token_ids)).abs().max()
            for part, e in zip(packed, of.experiences, strict=True)
        ]
    return float(max(gaps))


def shared_gradients_are_separate_ones(of: Subject) -> float:
    """Gradients of every parameter, relative."""
    packed = torch.stack([part.mean() for part in learner_logprobs(of.vlm, of.experiences)]).sum()
    alone = [
        stock_logprobs(of.stock, of.vlm.processor, e.rollout.prompt, e.rollout.token_ids).mean() for e in of.experiences
    ]
    return gradient_gap(gradients(packed, of.vlm.module), gradients(torch.stack(alone).sum(), of.stock))


def rows_mix_in_every_combination(of: Subject) -> float:
    """Every choice of prompts with and without images in one batch gives the log-probabilities of each alone."""
    gap = 0.0
    firsts = [e for e in of.experiences if e.rollout.sample == 0]
    with torch.no_grad():
        alone = dict(zip(map(id, firsts), learner_logprobs(of.vlm, firsts, share_prompts=False), strict=True))
        for count in range(1, len(firsts) + 1):
            for number, some in enumerate(itertools.combinations(firsts, count)):
                chosen = some[::-1] if number % 2 else some
                for part, each in zip(learner_logprobs(of.vlm, chosen), chosen, strict=True):
                    gap = max(gap, float((part - alone[id(each)]).abs().max()))
    return gap


def a_step_lowers_the_loss(of: Subject) -> float:
    """One update on a fixed batch."""
    vlm = VLM(copy.deepcopy(of.vlm.module), of.vlm.processor)
    optimisation = Optimisation(steps=100, lr=1e-3, warmup=0.0)
    learner = PolicyLearner(vlm, objective=Objective(), optimisation=optimisation)
    before, after = (learner.update(of.experiences)["policy/loss"].value for _ in range(2))
    assert after < before, f"the loss went from {before} to {after}"
    return 0.0


def saved_and_loaded_is_the_same(of: Subject) -> float:
    """Through a folder: log-probabilities, tied embeddings, and nothing of ours in its configuration."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        of.vlm.save(Path(folder))
        assert "rethinker" not in (Path(folder) / "config.json").read_text(encoding="utf-8")
        loaded = load(folder, device="cpu")
    ties = [
        vlm.module.get_input_embeddings().weight is vlm.module.get_output_embeddings().weight
        for vlm in (of.vlm, loaded)
    ]
    assert ties[0] == ties[1]
    chosen = of.experiences[-1:]
    prompt = loaded.encode(of.problems[-1], "plain")
    assert prompt.token_ids.tolist() == of.prompts[-1].token_ids.tolist()
    with torch.no_grad():
        left, right = (learner_logprobs(vlm, chosen)[0] for vlm in (of.vlm, loaded))
    return float((left - right).abs().max())


def placeholders_are_never_sampled(of: Subject) -> float:
    """Even by a model that wants nothing else; end tokens may be."""
    module = copy.deepcopy(of.vlm.module)
    head = module.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(of.vlm.vocabulary))
    head.bias.data[list(of.vlm.forbidden_ids)] = 50.0
    vlm = VLM(module, of.vlm.processor)
    for _, completion in sampled(vlm, of.prompts[:2]):
        assert not set(completion.token_ids.tolist()) & set(vlm.forbidden_ids)
    named = vlm.module.config.to_dict()
    assert {named[key] for key in ("image_token_id", "video_token_id") if key in named} <= set(vlm.forbidden_ids)
    assert vlm.eos_ids
    assert not set(vlm.eos_ids) & set(vlm.forbidden_ids)
    return 0.0


CHECKS = {
    "prompt → ids, pixels": (prompts_are_the_processors, 0.0),
    "length from sizes": (lengths_are_counted_from_sizes, 0.0),
    "engine log-probs": (engine_logprobs_are_the_forwards, 1e-4),
    "learner log-probs": (shared_logprobs_are_separate_ones, 1e-4),
    "learner gradients": (shared_gradients_are_separate_ones, 1e-3),
    "mixed rows": (rows_mix_in_every_combination, 1e-4),
    "a step learns": (a_step_lowers_the_loss, 0.0),
    "save, load": (saved_and_loaded_is_the_same, 1e-6),
    "forbidden ids": (placeholders_are_never_sampled, 0.0),
}
"""Column of the page → the check and the largest difference that it may measure."""


@cache
def measured(name: str, column: str) -> float:
    """Run one check on one family, once per process."""
    check, most = CHECKS[column]
    gap = check(subject(name))
    assert gap <= most, f"{name}, {column}: {gap:.2e} is more than {most:.0e}"
    return gap
