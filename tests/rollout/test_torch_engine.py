from collections import deque

import numpy as np
import pytest
import torch
from tests import plain

from rethinker.interfaces import Request, Sampling
from rethinker.learner.collate import collate
from rethinker.learner.logprobs import token_logprobs
from rethinker.learner.micro_batches import rows
from rethinker.models.vlm import VLM
from rethinker.rollout.admission import Admission, Part
from rethinker.rollout.engine import generate
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.types import Completion, Experience, Outcome, Prompt, Rollout, Verdict

NONE = np.zeros(0, dtype=np.int64)
TEN = Sampling(max_tokens=10, min_tokens=10)


def request(
    prompt: Prompt,
    *,
    seeds: tuple[int, ...] = (1,),
    sampling: Sampling = TEN,
    prefix: np.ndarray = NONE,
    name: str = "",
) -> Request:
    return Request(id=name or prompt.problem_id, prompt=prompt, prefix=prefix, sampling=sampling, seeds=seeds)


def made(vlm: VLM, *requests: Request, max_rows: int = 256) -> dict[tuple[str, int], Completion]:
    """Completions by request and sample."""
    completions = list(generate(TorchEngine(vlm, max_rows=max_rows), requests))
    found = {(completion.request_id, completion.sample): completion for completion in completions}
    assert len(found) == len(completions) == sum(len(each.seeds) for each in requests)
    return found


@pytest.fixture(scope="module")
def prompts(tiny_vlm: VLM) -> list[Prompt]:
    return plain.some_prompts(tiny_vlm)


@pytest.fixture
def eager_to_end(own_vlm: VLM) -> VLM:
    """A model that ends about every ninth token: one whose end tokens score higher."""
    head = own_vlm.module.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(own_vlm.vocabulary))
    head.bias.data[list(own_vlm.eos_ids)] = float(np.log(own_vlm.vocabulary / 16))
    return own_vlm


def test_log_probs_equal_a_plain_forward(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    completions = made(tiny_vlm, *(request(prompt, seeds=(1, 2, 3)) for prompt in prompts))
    by_id = {prompt.problem_id: prompt for prompt in prompts}
    with torch.no_grad():
        for (name, _), completion in completions.items():
            alone = plain.logprobs(tiny_vlm, by_id[name], completion.token_ids).numpy()
            assert np.abs(completion.logprobs - alone).max() < 1e-5


def test_log_probs_equal_the_learners(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    sampling = Sampling(max_tokens=12, temperature=1.3, top_p=0.9)
    completions = made(tiny_vlm, request(prompts[2], seeds=(1, 2, 3, 4), sampling=sampling))
    experiences = [as_experience(prompts[2], completion) for completion in completions.values()]
    batch = collate(rows(experiences), tiny_vlm, policy_version=0)
    with torch.no_grad():
        logprobs, _ = token_logprobs(tiny_vlm, batch)
    assert (logprobs - batch.behaviour).abs().max() < 1e-5


def as_experience(prompt: Prompt, completion: Completion) -> Experience:
    length = len(completion.token_ids)
    rollout = Rollout(
        prompt=prompt,
        sample=completion.sample,
        token_ids=completion.token_ids,
        logprobs=completion.logprobs,
        forced=np.zeros(length, dtype=np.bool_),
        text="",
        finish_reason=completion.finish_reason,
        policy_version=0,
        verdict=Verdict(outcome=Outcome.WRONG, reward=0.0, extracted=None),
    )
    zeros = np.zeros(length, dtype=np.float32)
    return Experience(rollout=rollout, advantage=0.0, rl=zeros, imitation=zeros)


def test_greedy_equals_greedy_generate(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    completions = made(tiny_vlm, *(request(p, sampling=Sampling(max_tokens=12, temperature=0)) for p in prompts))
    for prompt in prompts:
        wanted = tiny_vlm.module.generate(
            **plain.inputs(tiny_vlm, prompt, NONE),
            max_new_tokens=12,
            do_sample=False,
            suppress_tokens=list(tiny_vlm.forbidden_ids),
        )[0, len(prompt.token_ids) :]
        assert completions[prompt.problem_id, 0].token_ids.tolist() == wanted.tolist()


def test_siblings_differ_by_their_seed_alone(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    completions = made(tiny_vlm, request(prompts[0], seeds=(5, 6, 5)))
    first, second, third = (completions[prompts[0].problem_id, n].token_ids.tolist() for n in range(3))
    assert first == third != second


def test_a_sample_is_the_same_whoever_decodes_beside_it(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    alone = made(tiny_vlm, request(prompts[1], seeds=(7,)))[prompts[1].problem_id, 0]
    crowd = [request(prompts[0], seeds=(1, 2, 3)), request(prompts[1], seeds=(7, 8)), request(prompts[2], seeds=(4,))]
    for together in (made(tiny_vlm, *crowd), made(tiny_vlm, *crowd, max_rows=2)):
        beside = together[prompts[1].problem_id, 0]
        assert beside.token_ids.tolist() == alone.token_ids.tolist()
        assert np.abs(beside.logprobs - alone.logprobs).max() < 1e-5


def test_rows_go_on_unharmed_when_their_siblings_end(eager_to_end: VLM, prompts: list[Prompt]) -> None:
    sampling = Sampling(max_tokens=30)
    completions = made(eager_to_end, *(request(p, seeds=tuple(range(8)), sampling=sampling) for p in prompts))
    lengths = {len(completion.token_ids) for completion in completions.values()}
    assert len(lengths) > 4  # rows did leave at different times
    by_id = {prompt.problem_id: prompt for prompt in prompts}
    with torch.no_grad():
        for (name, _), completion in completions.items():
            alone = plain.logprobs(eager_to_end, by_id[name], completion.token_ids).numpy()
            assert np.abs(completion.logprobs - alone).max() < 1e-5


def test_finished_rows_leave_the_batch(
    eager_to_end: VLM, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    hidden = eager_to_end.hidden

    def watched(input_ids: torch.Tensor, **settings: object) -> torch.Tensor:
        widths.append(len(input_ids))
        return hidden(input_ids, **settings)

    monkeypatch.setattr(eager_to_end, "hidden", watched)
    sampling = Sampling(max_tokens=30)
    completions = made(eager_to_end, *(request(p, seeds=tuple(range(8)), sampling=sampling) for p in prompts))
    assert widths[:2] == [1, max(widths)]  # the prompts once, in one line, then their samples
    assert widths[1:] == sorted(widths[1:], reverse=True)
    tokens = sum(len(completion.token_ids) for completion in completions.values())
    assert tokens - 24 <= sum(widths[1:]) <= 1.15 * tokens


def test_a_prefix_is_continued_as_if_it_had_been_sampled(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    greedy = Sampling(max_tokens=10, min_tokens=10, temperature=0)
    for prompt in prompts:
        whole = made(tiny_vlm, request(prompt, sampling=greedy))[prompt.problem_id, 0]
        rest = Sampling(max_tokens=6, min_tokens=6, temperature=0)
        others = [request(p, name=f"other {p.problem_id}", sampling=rest) for p in prompts]
        continued = made(tiny_vlm, request(prompt, sampling=rest, prefix=whole.token_ids[:4]), *others)
        part = continued[prompt.problem_id, 0]
        assert part.token_ids.tolist() == whole.token_ids[4:].tolist()
        assert np.abs(part.logprobs - whole.logprobs[4:]).max() < 1e-5


def test_second_looks_at_one_prompt_read_it_once(
    tiny_vlm: VLM, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    images: list[int] = []
    hidden, vision = tiny_vlm.hidden, tiny_vlm.vision
    monkeypatch.setattr(tiny_vlm, "hidden", lambda ids, **rest: (read.append(ids.numel()), hidden(ids, **rest))[1])
    monkeypatch.setattr(tiny_vlm, "vision", lambda asked: (images.append(len(asked)), vision(asked))[1])
    prefixes = [np.full(length, 9, dtype=np.int64) for length in (3, 5, 7)]
    made(tiny_vlm, *(request(prompts[0], name=str(len(prefix)), prefix=prefix) for prefix in prefixes))
    assert read[0] == len(prompts[0].token_ids) + 15
    assert images == [1]


def test_waiting_requests_take_the_places_of_rows_that_ended(
    eager_to_end: VLM, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    hidden = eager_to_end.hidden
    monkeypatch.setattr(
        eager_to_end,
        "hidden",
        lambda ids, **rest: (widths.append(len(ids)) if ids.shape[1] == 1 else None, hidden(ids, **rest))[1],
    )
    sampling = Sampling(max_tokens=30)
    many = [request(prompts[n % 3], name=str(n), seeds=(n, 100 + n), sampling=sampling) for n in range(40)]
    completions = made(eager_to_end, *many, max_rows=16)
    tokens = sum(len(completion.token_ids) for completion in completions.values())
    assert max(widths) == 16
    assert np.mean(widths[: len(widths) // 2]) > 14  # kept full while there was something to wait for
    assert sum(widths) <= 1.2 * tokens
    alone = made(eager_to_end, many[7], max_rows=16)
    for owner, completion in alone.items():
        assert completion.token_ids.tolist() == completions[owner].token_ids.tolist()
        assert np.abs(completion.logprobs - completions[owner].logprobs).max() < 1e-5


def test_rows_of_unequal_length_decode_as_if_alone(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    lengths = (2, 40, 3, 25, 9)
    asked = [
        request(prompts[n % 3], name=str(n), seeds=(n,), sampling=Sampling(max_tokens=most, min_tokens=most))
        for n, most in enumerate(lengths * 2)
    ]
    together = made(tiny_vlm, *asked, max_rows=4)
    for each in asked:
        alone = made(tiny_vlm, each)[each.id, 0]
        assert together[each.id, 0].token_ids.tolist() == alone.token_ids.tolist()
        assert np.abs(together[each.id, 0].logprobs - alone.logprobs).max() < 1e-5


def test_keys_and_values_stay_within_their_bytes(
    tiny_vlm: VLM, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    hidden = tiny_vlm.hidden

    def watched(ids: torch.Tensor, **rest: object) -> torch.Tensor:
        layers = rest["cache"].layers  # type: ignore[attr-defined]
        if ids.shape[1] == 1:
            held.append(sum(tensor.nbytes for layer in layers for tensor in layer.tensors()))
        return hidden(ids, **rest)

    monkeypatch.setattr(tiny_vlm, "hidden", watched)
    limit = tiny_vlm.cache_token_bytes * (2 * max(len(p.token_ids) for p in prompts) + 6 * 40)
    engine = TorchEngine(tiny_vlm, cache_bytes=limit)
    sampling = Sampling(max_tokens=40, min_tokens=40)
    finished = list(generate(engine, [request(p, seeds=(1, 2, 3, 4, 5), sampling=sampling) for p in prompts]))
    assert len(finished) == 15
    assert limit / 2 < max(held) <= limit


def test_one_sample_decodes_however_small_the_bounds(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    engine = TorchEngine(tiny_vlm, max_rows=1, cache_bytes=1, read_tokens=1)
    assert len(list(generate(engine, [request(p, seeds=(1, 2)) for p in prompts]))) == 6


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_placeholders_are_never_sampled_however_much_the_model_wants_to(
    own_vlm: VLM, prompts: list[Prompt], temperature: float
) -> None:
    head = own_vlm.module.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(own_vlm.vocabulary))
    head.bias.data[list(own_vlm.forbidden_ids)] = 50.0
    sampling = Sampling(max_tokens=20, temperature=temperature)
    for completion in made(own_vlm, request(prompts[0], seeds=(1, 2, 3, 4), sampling=sampling)).values():
        assert not set(completion.token_ids.tolist()) & set(own_vlm.forbidden_ids)
        assert (completion.logprobs < -40).all()  # before anything was forbidden


def test_no_end_before_the_minimum_and_nothing_after_the_maximum(eager_to_end: VLM, prompts: list[Prompt]) -> None:
    sampling = Sampling(min_tokens=5, max_tokens=9)
    completions = made(eager_to_end, request(prompts[1], seeds=tuple(range(24)), sampling=sampling)).values()
    ends = set(eager_to_end.eos_ids)
    for completion in completions:
        assert 6 <= len(completion.token_ids) <= 9
        assert not ends & set(completion.token_ids[:-1].tolist())
        assert (completion.finish_reason == "stop") == (completion.token_ids[-1] in ends)
    assert {completion.finish_reason for completion in completions} == {"stop", "length"}


def test_a_cancelled_request_is_never_returned_and_leaves_the_others_alone(
    tiny_vlm: VLM, prompts: list[Prompt]
) -> None:
    engine = TorchEngine(tiny_vlm, max_rows=4)
    engine.submit([request(p, seeds=(1, 2)) for p in prompts])  # the third waits
    engine.step()
    engine.cancel(prompts[0].problem_id)
    engine.cancel(prompts[2].problem_id)
    assert engine.pending == 2
    finished = []
    while engine.pending:
        finished += engine.step()
    wanted = made(tiny_vlm, request(prompts[1], seeds=(1, 2)))
    assert [(c.request_id, c.sample) for c in finished] == list(wanted)
    assert all(c.token_ids.tolist() == wanted[c.request_id, c.sample].token_ids.tolist() for c in finished)


def test_cancelling_everything_leaves_an_engine_that_can_go_on(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    engine = TorchEngine(tiny_vlm)
    engine.submit([request(prompts[0])])
    engine.step()
    engine.cancel(prompts[0].problem_id)
    assert engine.pending == 0
    assert engine.step() == []
    assert len(list(generate(engine, [request(prompts[1])]))) == 1


def test_requests_of_different_settings_are_served_in_one_call(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    short, long = Sampling(max_tokens=2, min_tokens=2), Sampling(max_tokens=5, min_tokens=5)
    completions = made(
        tiny_vlm,
        request(prompts[0], sampling=short),
        request(prompts[1], sampling=long),
        request(prompts[2], sampling=short),
    )
    assert [len(completions[p.problem_id, 0].token_ids) for p in prompts] == [2, 5, 2]


def test_completions_carry_the_version_of_the_weights(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    engine = TorchEngine(tiny_vlm)
    engine.load_weights(iter(()), 3)
    assert {c.policy_version for c in generate(engine, [request(prompts[1], seeds=(1, 2))])} == {3}


def test_weights_must_not_change_while_samples_decode(tiny_vlm: VLM, prompts: list[Prompt]) -> None:
    engine = TorchEngine(tiny_vlm)
    engine.submit([request(prompts[1])])
    engine.step()
    with pytest.raises(RuntimeError, match="drain the engine first"):
        engine.load_weights(iter(()), 1)
    engine.close()
    assert engine.pending == 0
    engine.load_weights(iter(()), 1)


@pytest.mark.parametrize("asked", [{"seeds": ()}, {"sampling": Sampling(max_tokens=0)}])
def test_a_request_for_nothing_is_refused(tiny_vlm: VLM, prompts: list[Prompt], asked: dict) -> None:
    with pytest.raises(ValueError, match=r"request told asks for .* both must be at least 1"):
        TorchEngine(tiny_vlm).submit([request(prompts[1], **asked)])


def test_an_engine_without_work_is_idle(tiny_vlm: VLM) -> None:
    engine = TorchEngine(tiny_vlm)
    assert engine.pending == 0
    assert engine.step() == []


def test_a_prompt_that_is_read_twice_counts_twice_against_the_cache() -> None:
    """Second looks of one prompt share it where they are read together; later ones bring it along again."""
    prompt = Prompt(problem_id="a", token_ids=np.zeros(100, dtype=np.int64), images=(), text="")
    looks = [request(prompt, prefix=np.zeros(20, dtype=np.int64), name=str(n)) for n in range(6)]
    waiting = deque(Part(each, range(1)) for each in looks)
    admission = Admission(max_rows=10, max_tokens=180, cache_bytes=290, token_bytes=1)
    first = admission.next(waiting, [], [])
    assert len(first) == 4  # 100 + 4 × 20 tokens read
    held = [owner for part in first for owner in part.owners]
    assert admission.next(waiting, held, [100]) == []  # 2 × 100 + 5 × 30 places would be 350
    assert len(admission.next(waiting, held[:2], [100])) == 1  # 2 × 100 + 3 × 30
