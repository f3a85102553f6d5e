import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tests.models import toys
from tests.models.checks import SAMPLES, experience, learner_logprobs, problem, sampled, stock_logprobs, subject
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from rethinker.interfaces import Request, Sampling
from rethinker.learner import logprobs
from rethinker.learner.micro_batches import split
from rethinker.models import families, sharing
from rethinker.models.attention import CausalLayout
from rethinker.models.vlm import VLM
from rethinker.rollout.engine import generate
from rethinker.rollout.torch_engine import TorchEngine
from rethinker.types import Completion

HYBRID = "Qwen3.5 (hybrid)"


# ---- windows and blocks ----


def narrow_gemma(window: int) -> tuple[Any, Any]:
    """Gemma 3 with a window shorter than a response."""
    module, processor = toys.build("Gemma 3")
    config = Gemma3Config(**module.config.to_dict())
    config.text_config.sliding_window = window
    narrow = Gemma3ForConditionalGeneration(config).eval()
    narrow.load_state_dict(module.state_dict())
    narrow.generation_config = module.generation_config
    return narrow, processor


@pytest.mark.parametrize("window", [1, 4])
def test_a_window_shorter_than_a_response_slides_over_it(window: int) -> None:
    stock, processor = narrow_gemma(window)
    vlm = VLM(*narrow_gemma(window))
    assert vlm.shares_prompts
    prompts = [vlm.encode(problem(name), "plain") for name in ("told", "several", "one")]
    made = sampled(vlm, prompts)
    chosen = [experience(prompt, completion, advantage=1.0) for prompt, completion in made]
    with torch.no_grad():
        for (prompt, completion), part in zip(made, learner_logprobs(vlm, chosen), strict=True):
            alone = stock_logprobs(stock, processor, prompt, completion.token_ids).numpy()
            assert np.abs(completion.logprobs - alone).max() < 1e-4
            assert np.abs(part.numpy() - alone[: len(part)]).max() < 1e-4


def test_a_window_changes_what_is_said() -> None:
    wide, narrow = subject("Gemma 3").vlm, VLM(*narrow_gemma(4))
    prompt = wide.encode(problem("told"), "plain")
    with torch.no_grad():
        left, right = (sampled(vlm, [prompt])[0][1].logprobs for vlm in (wide, narrow))
    assert np.abs(left - right).max() > 1e-2


def states(width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(3)
    query = torch.randn(2, 4, width, 8, generator=made)
    key, value = (torch.randn(2, 2, width, 8, generator=made) for _ in range(2))
    return query, key, value


@pytest.mark.parametrize("window", [None, 1, 3, 7, 50])
@pytest.mark.parametrize("blocked", [False, True])
def test_a_causal_layout_equals_a_mask_over_every_pair(window: int | None, blocked: bool) -> None:
    query, key, value = states(7)
    blocks = torch.tensor([[-1, 0, 0, 0, -1, 1, 1], [0, 0, -1, -1, 1, 1, 1]])
    seen = torch.zeros(2, 7, 7, dtype=torch.bool)
    for row in range(2):
        for q in range(7):
            for k in range(7):
                together = blocked and blocks[row, q] == blocks[row, k] >= 0
                seen[row, q, k] = (k <= q or bool(together)) and q - k < (window or 99)
    layout = CausalLayout(7, blocks=blocks if blocked else None, dtype=torch.float32, device=torch.device("cpu"))
    found = layout.attend(0, query, key, value, scaling=0.5, window=window)
    scores = (query @ key.repeat_interleave(2, 1).transpose(2, 3)) * 0.5
    wanted = scores.masked_fill(~seen[:, None], -torch.inf).softmax(-1) @ value.repeat_interleave(2, 1)
    torch.testing.assert_close(found, wanted.transpose(1, 2), atol=1e-5, rtol=1e-5)


def test_no_mask_is_made_where_a_causal_product_suffices() -> None:
    layout = CausalLayout(7, blocks=None, dtype=torch.float32, device=torch.device("cpu"))
    layout.attend(0, *states(7), scaling=1.0, window=7)
    assert layout._made == {}


# ---- decoding ----


@pytest.mark.parametrize("name", ["Gemma 3", "Qwen3-VL", HYBRID])
def test_a_prefix_is_continued_as_if_it_had_been_sampled(name: str) -> None:
    vlm, prompts = subject(name).vlm, subject(name).prompts[:3]
    none = np.zeros(0, dtype=np.int64)

    def greedy(prefixes: Sequence[np.ndarray], tokens: int) -> list[Completion]:
        sampling = Sampling(max_tokens=tokens, min_tokens=tokens, temperature=0)
        asked = [
            Request(id=prompt.problem_id, prompt=prompt, prefix=prefix, sampling=sampling, seeds=(1,))
            for prompt, prefix in zip(prompts, prefixes, strict=True)
        ]
        found = {made.request_id: made for made in generate(TorchEngine(vlm), asked)}
        return [found[prompt.problem_id] for prompt in prompts]

    whole = greedy([none] * 3, 6)
    rest = greedy([made.token_ids[:2] for made in whole], 4)
    for made, continued in zip(whole, rest, strict=True):
        assert continued.token_ids.tolist() == made.token_ids[2:].tolist()
        assert np.abs(continued.logprobs - made.logprobs[2:]).max() < 1e-4


@pytest.mark.parametrize("name", ["Gemma 3", "Mamba (text, recurrent)"])
def test_rows_that_end_leave_the_others_alone(name: str) -> None:
    module, processor = toys.build(name)
    vlm = VLM(module, processor)
    head = module.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(vlm.vocabulary))
    head.bias.data[list(vlm.eos_ids)] = float(np.log(vlm.vocabulary / 8))
    prompts = [vlm.encode(each, "plain") for each in subject(name).problems[:2]]
    none = np.zeros(0, dtype=np.int64)
    requests = [
        Request(id=each.problem_id, prompt=each, prefix=none, sampling=Sampling(max_tokens=12), seeds=tuple(range(8)))
        for each in prompts
    ]
    found = list(generate(TorchEngine(vlm), requests))
    assert len({len(made.token_ids) for made in found}) > 3
    by_id = {prompt.problem_id: prompt for prompt in prompts}
    with torch.no_grad():
        for made in found:
            alone = stock_logprobs(module, vlm.processor, by_id[made.request_id], made.token_ids).numpy()
            assert np.abs(made.logprobs - alone).max() < 1e-4


# ---- who shares ----


def test_a_hybrid_model_says_once_that_it_cannot_share(caplog: pytest.LogCaptureFixture) -> None:
    sharing._warn.cache_clear()
    with caplog.at_level(logging.WARNING, logger="rethinker"):
        first, _ = (VLM(*toys.build(HYBRID)) for _ in range(2))
    assert not first.shares_prompts
    assert first.module.config.get_text_config()._attn_implementation == "sdpa"
    assert [record.getMessage() for record in caplog.records if record.name == "rethinker"] == [
        "Qwen3_5ForConditionalGeneration cannot share prompts (something besides attention mixes its tokens): every "
        "response is a forward of its own, which is right but slower"
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_images_that_are_read_in_an_unknown_way_are_noticed(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    monkeypatch.delitem(families._FAMILIES, "gemma3")  # nobody says that an image's tokens see each other both ways
    module, processor = toys.build("Gemma 3")
    assert not VLM(module.to(dtype), processor).shares_prompts


def test_an_image_that_cannot_be_tried_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    sharing._warn.cache_clear()
    module, processor = toys.build("Qwen2-VL")
    processor.chat_template = processor.chat_template.replace("<|image_pad|>", "")
    assert not VLM(module, processor).shares_prompts
    assert "cannot share prompts (it cannot be tried: " in caplog.text


def test_gemma_4_shares_prompts_unless_images_are_read_both_ways_or_layers_share_keys() -> None:
    shared = {"causal": {}, "layered": {"hidden_size_per_layer_input": 8}, "thrifty": {"num_kv_shared_layers": 2}}
    found = {}
    for name, text in shared.items():
        torch.manual_seed(0)
        module, processor = toys.gemma4(bidirectional=None, **text)
        vlm = VLM(module.eval(), processor)
        found[name] = vlm.shares_prompts
        prompt = vlm.encode(problem("one"), "plain")
        _, completion = sampled(vlm, [prompt])[0]
        with torch.no_grad():
            alone = stock_logprobs(module, processor, prompt, completion.token_ids).numpy()
        assert np.abs(completion.logprobs - alone).max() < 1e-4
    assert found == {"causal": True, "layered": True, "thrifty": False}


def test_a_gentle_cap_on_scores_shows_even_in_half_precision() -> None:
    module, processor = toys.gemma4(bidirectional=None, final_logit_softcapping=30.0)
    assert not VLM(module.bfloat16().eval(), processor).plain_scores


def test_a_model_that_scales_its_scores_is_run_as_it_is() -> None:
    module, processor = toys.build("Qwen3 (text)")
    forward = module.forward

    def scaled(**inputs: Any) -> Any:
        output = forward(**inputs)
        output.logits = output.logits / 4
        return output

    module.forward = scaled
    vlm = VLM(module, processor)
    assert not vlm.shares_prompts
    assert not vlm.plain_scores
    prompt = vlm.encode(problem("told"), "plain")
    made = sampled(vlm, [prompt])
    with torch.no_grad():
        parts = learner_logprobs(vlm, [experience(*each, advantage=1.0) for each in made])
        for (_, completion), part in zip(made, parts, strict=True):
            alone = stock_logprobs(module, vlm.processor, prompt, completion.token_ids).numpy()
            assert np.abs(completion.logprobs - alone).max() < 1e-5
            assert np.abs(part.numpy() - alone[: len(part)]).max() < 1e-5


def test_attention_that_has_no_name_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    module, processor = toys.build("Qwen3 (text)")
    monkeypatch.setattr(type(module), "_can_set_attn_implementation", classmethod(lambda _: False))
    monkeypatch.setattr(type(module.model), "_can_set_attn_implementation", classmethod(lambda _: False))
    vlm = VLM(module, processor)
    assert not vlm.shares_prompts


def test_a_model_that_cannot_share_scores_no_more_tokens_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """One per row while decoding, one chunk while learning."""
    of = subject(HYBRID)
    rows: list[int] = []
    head = of.vlm.module.get_output_embeddings()
    hook = head.register_forward_hook(lambda _layer, _states, scores: rows.append(scores[..., 0].numel()))
    try:
        sampled(of.vlm, of.prompts[:1])
        assert max(rows) == SAMPLES
        rows.clear()
        with torch.no_grad():
            whole = learner_logprobs(of.vlm, of.experiences[:2])
            monkeypatch.setattr(logprobs, "_CHUNK_SCORES", 4 * of.vlm.vocabulary)
            assert max(rows) == max(len(part) for part in whole) > 4
            rows.clear()
            parts = learner_logprobs(of.vlm, of.experiences[:2])
    finally:
        hook.remove()
    assert max(rows) == 4
    assert all(torch.equal(left, right) for left, right in zip(whole, parts, strict=True))


def test_micro_batches_of_a_model_that_cannot_share_hold_one_response() -> None:
    of = subject(HYBRID)
    micros = split(of.experiences, of.vlm, share_prompts=True, token_budget=100_000)
    assert [len(micro) for micro in micros] == [1] * len(of.experiences)
    assert all(len(row.experiences) == 1 for micro in micros for row in micro)


def test_a_model_in_training_stays_in_training() -> None:
    module, processor = toys.build("Qwen2-VL")
    module.train()
    VLM(module, processor)
    assert module.training


# ---- half precision ----


@pytest.mark.parametrize("name", ["Qwen2.5-VL", "Gemma 3", "SmolVLM2", HYBRID])
def test_bfloat16_weights_give_float32_log_probs_near_float32s(name: str) -> None:
    module, processor = toys.build(name)
    vlm = VLM(module.bfloat16(), processor)
    assert vlm.shares_prompts == (name != HYBRID)
    chosen = subject(name).experiences
    with torch.no_grad():
        half, full = (learner_logprobs(each, chosen) for each in (vlm, subject(name).vlm))
    assert all(part.dtype == torch.float32 and part.isfinite().all() for part in half)
    gaps = torch.cat([(left - right).abs() for left, right in zip(half, full, strict=True)])
    assert gaps.mean() < 0.05
    assert gaps.max() < 0.5
    _, completion = sampled(vlm, subject(name).prompts[:1])[0]
    assert completion.logprobs.dtype == np.float32
    assert np.isfinite(completion.logprobs).all()
