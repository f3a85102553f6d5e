"""With vLLM itself, in this process, on the tiny model: one engine for the module, since a start takes seconds."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import plain
from tests.conftest import copied

from rethinker.errors import ModelError, RethinkerError
from rethinker.interfaces import Request, Sampling
from rethinker.models.adapters import merged_weights
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.rollout.vllm_engine import VllmEngine, served_model
from rethinker.types import Completion, Image, Problem, Prompt

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")

NONE = np.zeros(0, dtype=np.int64)
TEN = Sampling(max_tokens=10, min_tokens=10)


def started(vlm: VLM, folder: Path, **settings: int) -> VllmEngine:
    return VllmEngine(
        served_model(vlm, str(folder)),
        device="cpu",
        dtype="float32",
        max_tokens=400,
        cache_bytes=50_000_000,
        **settings,
    )


@pytest.fixture(scope="module")
def shared(tiny_vlm: VLM, tiny_folder: Path) -> Iterator[VllmEngine]:
    threads = torch.get_num_threads()
    engine = started(tiny_vlm, tiny_folder)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(threads)  # vLLM has not taken it away
    yield engine
    engine.close()
    del engine
    gc.collect()


@pytest.fixture
def engine(shared: VllmEngine, tiny_vlm: VLM) -> Iterator[VllmEngine]:
    """With the weights of the tiny model."""
    shared.load_weights(merged_weights(tiny_vlm.module), version=0)
    yield shared
    for request, _ in list(shared._running.values()):
        shared.cancel(request.id)


@pytest.fixture(scope="module")
def prompts(tiny_vlm: VLM) -> list[Prompt]:
    return plain.some_prompts(tiny_vlm)


def request(
    prompt: Prompt,
    *,
    seeds: tuple[int, ...] = (1,),
    sampling: Sampling = TEN,
    prefix: np.ndarray = NONE,
    name: str = "",
) -> Request:
    return Request(id=name or prompt.problem_id, prompt=prompt, prefix=prefix, sampling=sampling, seeds=seeds)


def made(engine: VllmEngine, *requests: Request) -> dict[tuple[str, int], Completion]:
    found = {(each.request_id, each.sample): each for each in generate(engine, requests)}
    assert len(found) == sum(len(each.seeds) for each in requests)
    return found


def gap(vlm: VLM, prompt: Prompt, completion: Completion, prefix: np.ndarray = NONE) -> float:
    with torch.no_grad():
        alone = plain.logprobs(vlm, prompt, np.concatenate([prefix, completion.token_ids])).numpy()
    return float(np.abs(alone[len(prefix) :] - completion.logprobs).max())


def largest_gap(engine: VllmEngine, vlm: VLM, prompts: list[Prompt]) -> float:
    completions = made(engine, *(request(prompt, seeds=(1, 2)) for prompt in prompts))
    by_id = {prompt.problem_id: prompt for prompt in prompts}
    return max(gap(vlm, by_id[name], completion) for (name, _), completion in completions.items())


def moved(vlm: VLM) -> VLM:
    """Every weight a good way off, those of the vision tower too."""
    other = copied(vlm)
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in other.module.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=noise))
    return other


def test_a_sleeping_engine_wakes_its_weights_before_they_come_and_its_cache_after(
    engine: VllmEngine, tiny_vlm: VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU cannot sleep: what vLLM is told, and when, is all that can be seen here."""
    told: list[object] = []
    called = engine.call_workers

    def call_workers(method: str, *args: object) -> list[object]:
        told.append(method)
        return called(method, *args)

    monkeypatch.setattr(engine, "_can_sleep", True)
    monkeypatch.setattr(engine._llm, "sleep", lambda level: told.append(("sleep", level)))
    monkeypatch.setattr(engine._llm, "wake_up", lambda tags: told.append(("wake", *tags)))
    monkeypatch.setattr(engine._core, "is_sleeping", lambda: True)
    monkeypatch.setattr(engine, "call_workers", call_workers)
    engine.sleep()
    engine.sleep()  # twice is once
    with pytest.raises(RuntimeError, match="sleeps; sync them first"):
        engine.submit([])
    engine.load_weights(merged_weights(tiny_vlm.module), version=3)
    assert told == [("sleep", 2), ("wake", "weights"), "take_weights", "weight_squares", ("wake", "kv_cache")]
    engine.submit([])


def test_log_probs_equal_the_learners_before_and_after_a_sync_on_images_seen_before(engine, tiny_vlm, prompts):
    assert largest_gap(engine, tiny_vlm, prompts) < 1e-4
    other = moved(tiny_vlm)
    engine.load_weights(merged_weights(other.module), version=7)
    assert largest_gap(engine, other, prompts) < 1e-4
    assert largest_gap(engine, tiny_vlm, prompts) > 0.1  # so the weights had moved far enough to show
    completion = made(engine, request(prompts[0]))[prompts[0].problem_id, 0]
    assert completion.policy_version == 7


def test_a_kept_image_feature_would_show(engine, tiny_vlm, prompts, monkeypatch):
    largest_gap(engine, tiny_vlm, prompts)
    other = moved(tiny_vlm)
    monkeypatch.setattr(engine._core, "reset_encoder_cache", lambda: None)
    engine.load_weights(merged_weights(other.module), version=1)
    assert largest_gap(engine, other, prompts[:1]) > 0.01


def test_a_sample_depends_on_its_own_seed_alone(engine, prompts):
    seeds = (3, 4, 5, 2**127 + 1)
    whole = made(engine, *(request(prompt, seeds=seeds) for prompt in prompts))
    part = made(engine, request(prompts[0], seeds=seeds[2:], name="part"))
    for sample, completion in ((0, part["part", 0]), (1, part["part", 1])):
        assert np.array_equal(completion.token_ids, whole[prompts[0].problem_id, sample + 2].token_ids)
    first = [whole[prompts[0].problem_id, sample].token_ids.tolist() for sample in range(4)]
    assert len({tuple(ids) for ids in first}) > 1


def test_a_second_look_goes_on_after_its_prefix(engine, tiny_vlm, prompts):
    prefix = np.array([40, 41, 300, 12])
    for prompt in prompts:
        completion = made(engine, request(prompt, prefix=prefix))[prompt.problem_id, 0]
        assert len(completion.token_ids) == 10
        assert gap(tiny_vlm, prompt, completion, prefix) < 1e-4


def test_greedy_takes_the_likeliest(engine, tiny_vlm, prompts):
    completion = made(engine, request(prompts[2], sampling=Sampling(temperature=0.0, max_tokens=6)))["two", 0]
    with torch.no_grad():
        scores = plain.distributions(tiny_vlm, prompts[2], completion.token_ids)
    scores[:, list(tiny_vlm.forbidden_ids)] = -torch.inf
    assert completion.token_ids.tolist() == scores.argmax(-1).tolist()


def test_forbidden_ids_are_never_sampled_and_log_probs_know_nothing_of_it(engine, tiny_vlm, prompts):
    eager = copied(tiny_vlm)
    embeddings = eager.module.get_input_embeddings().weight
    with torch.no_grad():  # tied to the output layer: their scores grow with their length
        embeddings[list(eager.forbidden_ids)] *= 30
    engine.load_weights(merged_weights(eager.module), version=1)
    told = prompts[1]
    ids = set()
    for completion in made(engine, request(told, seeds=tuple(range(8)))).values():
        ids |= set(completion.token_ids.tolist())
        assert gap(eager, told, completion) < 1e-3
    assert not ids & set(eager.forbidden_ids)


@pytest.mark.parametrize("end", [0, 1])
def test_every_end_token_ends_and_is_kept_but_not_before_min_tokens(engine, tiny_vlm, prompts, end):
    eager = copied(tiny_vlm)
    head = eager.module.get_input_embeddings().weight
    last = plain_hidden(eager, prompts[1])
    with torch.no_grad():
        head[eager.eos_ids[end]] = 20 * last / last.norm()
    engine.load_weights(merged_weights(eager.module), version=1)
    few = Sampling(temperature=0.0, max_tokens=8)
    completion = made(engine, request(prompts[1], sampling=few))["told", 0]
    assert completion.token_ids.tolist() == [eager.eos_ids[end]]
    assert completion.finish_reason == "stop"
    later = Sampling(temperature=0.0, max_tokens=8, min_tokens=3)
    completion = made(engine, request(prompts[1], sampling=later))["told", 0]
    assert not set(completion.token_ids[:3].tolist()) & set(eager.eos_ids)


def plain_hidden(vlm: VLM, prompt: Prompt) -> torch.Tensor:
    with torch.no_grad():
        output = vlm.module(**plain.inputs(vlm, prompt, NONE), output_hidden_states=True)
    return output.hidden_states[-1][0, -1]


def test_completions_come_as_they_end_and_a_cancelled_request_never_does(engine, prompts):
    short, long = Sampling(max_tokens=2, min_tokens=2), Sampling(max_tokens=12, min_tokens=12)
    engine.submit([request(prompts[0], sampling=long, seeds=(1, 2)), request(prompts[1], sampling=short)])
    engine.submit([request(prompts[2], sampling=long, seeds=(1, 2, 3))])
    assert engine.pending == 6
    order = []
    while engine.pending:
        for completion in engine.step():
            order.append(completion.request_id)
            engine.cancel("two")
    assert order == ["told", prompts[0].problem_id, prompts[0].problem_id]
    assert engine.step() == []


def test_siblings_share_their_prompt_and_a_second_look_reads_nothing_again(engine, tiny_vlm, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    seen = Problem(id="seen", images=(Image(pixels=pixels),), question="<image>What?", answer="3", verifier="number")
    prompt = tiny_vlm.encode(seen, "plain")
    cached = {}
    step = engine._core.step

    def watched():
        outputs = step()
        cached.update({output.request_id: output.num_cached_tokens for output in outputs})
        return outputs

    monkeypatch.setattr(engine._core, "step", watched)
    first = made(engine, request(prompt, seeds=(1, 2, 3)))["seen", 0]
    assert sorted(cached.values())[1] > 0  # two of three siblings
    cached.clear()
    made(engine, request(prompt, prefix=first.token_ids))
    assert min(cached.values()) >= len(prompt.token_ids) // 32 * 32


def test_weights_must_not_change_while_samples_decode(engine, tiny_vlm, prompts):
    engine.submit([request(prompts[1])])
    with pytest.raises(RuntimeError, match="drain"):
        engine.load_weights(merged_weights(tiny_vlm.module), version=1)


def test_a_missing_an_unknown_and_a_damaged_weight_are_named(engine, tiny_vlm):
    weights = dict(merged_weights(tiny_vlm.module))
    name = "model.visual.merger.ln_q.weight"
    with pytest.raises(RethinkerError, match=f"did not send {name}"):
        engine.load_weights(iter((each, w) for each, w in weights.items() if each != name), version=1)
    with pytest.raises(RethinkerError, match=r"lm_head\.weight is not among"):
        engine.load_weights(iter([*weights.items(), ("lm_head.weight", torch.zeros(2))]), version=1)
    with pytest.raises(RethinkerError, match="came twice"):
        engine.load_weights(iter([*weights.items(), *weights.items()]), version=1)
    with pytest.raises(RethinkerError, match=r"does not hold what the learner sent: visual\.merger\.ln_q\.weight"):
        engine.load_weights(iter((weights | {name: weights[name] * torch.nan}).items()), version=1)


def test_a_weight_that_vllm_dropped_is_noticed(engine, tiny_vlm, monkeypatch):
    call = engine.call_workers

    def forgetful(method, *args):
        if method == "take_weights":
            args = ([(name, weight) for name, weight in args[0] if "k_proj.bias" not in name],)
        return call(method, *args)

    monkeypatch.setattr(engine, "call_workers", forgetful)
    other = copied(tiny_vlm)
    with torch.no_grad():
        other.module.model.language_model.layers[1].self_attn.k_proj.bias += 1e-6  # as small as a step
    with pytest.raises(RethinkerError, match=r"layers\.1\.self_attn\.qkv_proj\.bias"):
        engine.load_weights(merged_weights(other.module), version=1)


def test_a_prompt_that_vllm_reads_otherwise_is_refused(engine, tiny_vlm, prompts):
    shown, placeholder = prompts[0], tiny_vlm.module.config.image_token_id
    longer = np.insert(shown.token_ids, list(shown.token_ids).index(placeholder), placeholder)
    other = Prompt(problem_id="odd", token_ids=longer, images=shown.images, text=shown.text)
    with pytest.raises(ModelError, match="expands the prompt of odd"):
        engine.submit([request(other)])


def test_a_request_that_may_outgrow_the_engine_is_refused(engine, prompts):
    with pytest.raises(RethinkerError, match="at most 400"):
        engine.submit([request(prompts[1], sampling=Sampling(max_tokens=400))])


def test_nothing_can_be_asked_before_the_first_sync(engine, prompts):
    engine._ready = False
    with pytest.raises(RuntimeError, match="no weights"):
        engine.submit([request(prompts[1])])
