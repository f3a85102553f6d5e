import shutil

import numpy as np
import pytest
import torch
from tests import plain
from tests.learner.given import experience

from rethinker.interfaces import Request, Sampling
from rethinker.learner.collate import collate
from rethinker.learner.logprobs import token_logprobs
from rethinker.learner.micro_batches import rows
from rethinker.models.compiling import compile_layers
from rethinker.models.vlm import VLM
from rethinker.rollout.torch_engine import TorchEngine

needs_a_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs g++")


def gradients(vlm: VLM, lengths: tuple[int, ...]) -> dict[str, torch.Tensor]:
    seen, told, _ = plain.some_prompts(vlm)
    chosen = [
        experience(prompt, sample=n, length=tokens, advantage=0.5)
        for prompt in (seen, told)
        for n, tokens in enumerate(lengths)
    ]
    vlm.module.zero_grad()
    logprobs, _ = token_logprobs(vlm, collate(rows(chosen), vlm, policy_version=0))
    logprobs.mean().backward()
    return {name: weight.grad.clone() for name, weight in vlm.module.named_parameters() if weight.grad is not None}


@needs_a_compiler
def test_compiled_layers_have_the_gradients_of_those_as_written_at_every_length(own_vlm: VLM) -> None:
    lengths = ((5, 9), (7, 20, 31))
    wanted = [gradients(own_vlm, each) for each in lengths]
    names = list(own_vlm.module.state_dict())
    compile_layers(own_vlm.module)
    torch._dynamo.utils.counters.clear()
    for each, as_written in zip(lengths, wanted, strict=True):
        for name, gradient in gradients(own_vlm, each).items():
            assert torch.allclose(gradient, as_written[name], rtol=1e-4, atol=1e-6), name
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert list(own_vlm.module.state_dict()) == names


@needs_a_compiler
def test_the_engine_compiles_nothing(own_vlm: VLM) -> None:
    compile_layers(own_vlm.module)
    torch._dynamo.utils.counters.clear()
    engine = TorchEngine(own_vlm)
    prompt = plain.some_prompts(own_vlm)[0]
    nothing = np.zeros(0, dtype=np.int64)
    engine.submit([Request(id="a", prompt=prompt, prefix=nothing, sampling=Sampling(max_tokens=4), seeds=(0, 1))])
    while engine.pending:
        engine.step()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 0
