"""Our engine and Hugging Face's `generate`: worker processes that sample a batch when told to (`turns.py`).

    python benchmarks/engine_arms.py {ours,generate,generate-static} '<Work as JSON>'

Both have the same weights and prompts, sample at temperature 1 without filters, never sample special tokens, and end
each response where the work's lengths say, which neither knows before: the end is decided token by token, as an end
token would. Prompts are tokenised and pixels made before the clock starts.

`generate` is set as it is fastest: all rows in one batch, padded on the left, with its cache and PyTorch's fused
attention, and nothing returned but tokens (ours returns their log-probabilities too). `generate-static` has the static
cache, which on a GPU compiles the decoding step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

import shapes
from rethinker.interfaces import Sampling
from rethinker.models.vlm import VLM
from rethinker.rollout.admission import Part
from rethinker.rollout.engine import generate
from rethinker.rollout.scoring import first_requests
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.seeding import Purpose
from turns import Clock, Ready, loaded_bytes, serve
from work import Work, pictures, rendered


class GivenLengths(TorchEngine):
    """Our engine, but a response ends where it is told. Requests ask for the greatest length, and are read as such."""

    def __init__(self, vlm: VLM, **bounds: int) -> None:
        super().__init__(vlm, **bounds)
        self.lengths: dict[str, Sequence[int]] = {}

    def _take_in(self, parts: Sequence[Part]) -> None:
        super()._take_in(parts)
        assert self._rows is not None
        ends = [self.lengths[request.id][sample] for request, sample in self._rows.owners]
        self._rows.limits = torch.tensor(ends, device=self.vlm.device)


def ours(work: Work, told: Iterator[str], say: Callable[[Any], None]) -> None:
    """Our engine."""
    torch.set_num_threads(work.threads)
    vlm = shapes.load(work.model, device=work.device, dtype=work.dtype)
    prompts = [vlm.encode(each, "plain") for each in work.problems(vlm.processor)]
    engine = GivenLengths(vlm, max_rows=work.prompts * work.group)
    say(Ready(prompts=[prompt.token_ids.tolist() for prompt in prompts], loaded_bytes=loaded_bytes(work.device)))
    for number, _ in enumerate(told):
        lengths = work.lengths(number)
        engine.lengths = {prompt.problem_id: row for prompt, row in zip(prompts, lengths, strict=True)}
        clock = Clock(work.device)
        requests = first_requests(
            prompts,
            samples=work.group,
            sampling=Sampling(min_tokens=work.most, max_tokens=work.most),
            seed=0,
            purpose=Purpose.FIRST,
            step=number,
        )
        found = {(each.request_id, each.sample): len(each.token_ids) for each in generate(engine, requests)}
        step = clock.stop(sum(found.values()))
        check(
            [[found[prompt.problem_id, sample] for sample in range(work.group)] for prompt in prompts], lengths, "ours"
        )
        say(step)


def check(found: list[list[int]], wanted: list[list[int]], arm: str) -> None:
    """Refuse responses of other lengths.

    Raises:
        RuntimeError: some have.
    """
    if found != wanted:
        raise RuntimeError(f"{arm}: responses have {found} tokens, not {wanted} as they should")


class Forbid(LogitsProcessor):  # type: ignore[misc]
    """Ids that are never sampled, as a mask made once."""

    def __init__(self, ids: Sequence[int], vocabulary: int, device: str) -> None:
        self._mask = torch.zeros(vocabulary, dtype=torch.bool, device=device)
        self._mask[list(ids)] = True

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        """Scores without them."""
        return scores.masked_fill(self._mask, -torch.inf)


class EndAt(StoppingCriteria):  # type: ignore[misc]
    """Each row ends at a length of its own."""

    def __init__(self, prompt: int, lengths: Sequence[int], device: str) -> None:
        self._ends = torch.tensor(lengths, device=device) + prompt

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:  # noqa: ARG002
        """Which rows have ended."""
        return self._ends <= input_ids.shape[1]


def theirs(work: Work, told: Iterator[str], say: Callable[[Any], None], *, cache: str | None) -> None:
    """Hugging Face's `generate`."""
    torch.set_num_threads(work.threads)
    module, processor = shapes.parts(work.model, device=work.device, dtype=work.dtype)
    module.eval()
    inputs = padded(work, processor).to(work.device)
    forbidden = Forbid(never_sampled(module, processor), module.get_output_embeddings().weight.shape[0], work.device)
    config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=work.most,
        num_return_sequences=work.group,
        use_cache=True,
        cache_implementation=cache,
        pad_token_id=processor.tokenizer.pad_token_id,
    )
    kept = inputs["attention_mask"].bool()
    prompts = [ids[mask].tolist() for ids, mask in zip(inputs["input_ids"], kept, strict=True)]
    say(Ready(prompts=prompts, loaded_bytes=loaded_bytes(work.device)))
    before = inputs["input_ids"].shape[1]
    for number, _ in enumerate(told):
        lengths = work.lengths(number)
        flat = [length for row in lengths for length in row]
        clock = Clock(work.device)
        with torch.inference_mode():
            made = module.generate(
                **inputs,
                generation_config=config,
                logits_processor=LogitsProcessorList([forbidden]),
                stopping_criteria=StoppingCriteriaList([EndAt(before, flat, work.device)]),
            )
        responses = [row[before : before + length] for row, length in zip(made, flat, strict=True)]
        step = clock.stop(sum(len(response) for response in responses))
        check([[len(response) for response in responses]], [flat], "generate")
        say(step)


def padded(work: Work, processor: Any) -> Any:
    """All prompts as the processor pads them, on the left."""
    problems = work.problems(processor)
    return processor(
        text=[rendered(each, processor) for each in problems],
        images=[pictures(each) for each in problems],
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )


def never_sampled(module: Any, processor: Any) -> list[int]:
    """Special ids, the end token among them, and rows of the output layer that are no token."""
    rows = module.get_output_embeddings().weight.shape[0]
    return sorted({*processor.tokenizer.all_special_ids, *range(len(processor.tokenizer), rows)})


if __name__ == "__main__":
    serve(
        {"ours": ours, "generate": partial(theirs, cache=None), "generate-static": partial(theirs, cache="static")},
        Work.read,
    )
