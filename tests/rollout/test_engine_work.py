"""What sampling costs, in counted work: prompts are read once, and every forward decodes all rows that are there."""

import numpy as np
import pytest
from tests import plain
from tests.counted_work import Counted, Counts

from rethinker.interfaces import Request, Sampling
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.types import Prompt

NONE = np.zeros(0, dtype=np.int64)
GROUP, LENGTH = 8, 10
FLOAT32 = 4


@pytest.fixture(scope="module")
def prompts(tiny_vlm: VLM) -> list[Prompt]:
    return plain.some_prompts(tiny_vlm)


def request(prompt: Prompt, name: str, *, samples: int, length: int = LENGTH, prefix: np.ndarray = NONE) -> Request:
    sampling = Sampling(max_tokens=length, min_tokens=length)
    return Request(id=name, prompt=prompt, prefix=prefix, sampling=sampling, seeds=tuple(range(samples)))


def of(vlm: VLM, requests: list[Request], *, max_rows: int = 256) -> Counts:
    with Counted(vlm) as counted:
        list(generate(TorchEngine(vlm, max_rows=max_rows), requests))
    return counted.counts


def test_a_group_reads_its_prompt_and_images_once(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    counts = of(tiny_vlm, [request(prompt, prompt.problem_id, samples=GROUP) for prompt in prompts])
    read = sum(len(prompt.token_ids) for prompt in prompts)
    rows = GROUP * len(prompts)
    assert (counts.forwards, counts.towers, counts.images) == (LENGTH, 1, 3)
    assert counts.tokens == read + rows * (LENGTH - 1)
    assert counts.most_score_bytes <= rows * tiny_vlm.vocabulary * FLOAT32


def test_second_looks_of_a_group_read_its_prompt_once_more_and_every_first_look_once(
    tiny_vlm: VLM, prompts: list[Prompt]
) -> None:
    prefixes = [np.arange(30, 35 + n) for n in range(GROUP)]
    counts = of(tiny_vlm, [request(prompts[2], str(n), samples=1, prefix=each) for n, each in enumerate(prefixes)])
    assert (counts.forwards, counts.images) == (LENGTH, 2)
    read = len(prompts[2].token_ids) + sum(map(len, prefixes))
    assert counts.tokens == read + GROUP * (LENGTH - 1)


def test_waiting_rows_take_the_places_of_those_that_end(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    """Twelve rows, four at a time, of lengths that differ: in whole turns there would be 3 × 40 forwards."""
    lengths = [40, 5, 5, 5] * 3
    counts = of(
        tiny_vlm,
        [request(prompts[1], str(n), samples=1, length=length) for n, length in enumerate(lengths)],
        max_rows=4,
    )
    assert counts.forwards <= 60


def test_rows_that_ended_are_not_decoded_to_the_end(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    lengths = list(range(1, 33))
    counts = of(tiny_vlm, [request(prompts[1], str(n), samples=1, length=length) for n, length in enumerate(lengths)])
    decoded = counts.tokens - len(prompts[1].token_ids)
    assert decoded <= 1.2 * sum(length - 1 for length in lengths)
